//! The nanoservice examples: each is one short expression; each test starts the example, uses it
//! over a socket and stops it.
#![cfg(unix)]

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use axum::{Router, extract, routing::get};
use futures::StreamExt;
use http::Version;
use support::origins::{Authority, HTTP1_AND_2, TlsServer, ask_as, talk};
use support::{Answer, Server, soon};
use tempfile::TempDir;
use tokio::{task::spawn_blocking, time::sleep};
use tokio_tungstenite::connect_async;

const NANOSERVICES: [&str; 11] = [
    "simple_proxy",
    "latency_reporting_proxy",
    "wire_sniffing_proxy",
    "recording_proxy",
    "replay_recorded",
    "static_file_server",
    "websocket_clock",
    "chaos_proxy",
    "reverse_proxy",
    "disk_cache",
    "file_watcher",
];

// ---- source

/// Returns the body of the function named after the example.
fn expression(name: &str) -> String {
    let path = project().join("examples").join(name).with_extension("rs");
    let source = fs::read_to_string(path).expect("a source");
    let (_, function) = source
        .split_once(&format!("fn {name}("))
        .expect("a function of that name");
    let (_, body) = function.split_once("{\n").expect("a body");
    let (body, _) = body.split_once("\n}\n").expect("its end");
    body.to_owned()
}

fn project() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Removes the whitespace and trailing commas that a formatter adds.
fn squeezed(code: &str) -> String {
    let code: String = code.split_whitespace().collect();
    code.replace(",)", ")")
}

#[test]
fn each_nanoservice_is_one_expression_of_at_most_140_characters() {
    for name in NANOSERVICES {
        let expression = expression(name);
        assert!(!expression.contains(';'), "{name} has statements");
        let lines: Vec<_> = expression.lines().map(str::trim).collect();
        let len = lines.concat().chars().count();
        assert!(len <= 140, "{name} has {len} characters");
    }
}

#[test]
fn the_readme_has_each_nanoservice() {
    let readme = fs::read_to_string(project().join("README.md")).expect("a README");
    let readme = squeezed(&readme.replace("\\|", "|"));
    for name in NANOSERVICES {
        let row = format!("(examples/{name}.rs)|");
        assert!(readme.contains(&row), "{name}");
        let cell = format!("|`{}`|", squeezed(&expression(name)));
        assert!(readme.contains(&cell), "{name}: {cell}");
    }
}

// ---- running

/// The folder of the freshly built examples.
static EXAMPLES: LazyLock<PathBuf> = LazyLock::new(|| {
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--workspace",
            "--all-features",
            "--examples",
        ])
        .current_dir(project())
        .status()
        .expect("cargo");
    assert!(built.success());
    // The test binary is in `deps`, a sibling of `examples`.
    let test = std::env::current_exe().expect("a path");
    let profile = test.ancestors().nth(2).expect("a folder");
    profile.join("examples")
});

/// An example process with its own working folder.
struct Running {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    at: SocketAddr,
}

impl Running {
    async fn start(name: &str, folder: &Path, set: &[(&str, &str)]) -> Self {
        let mut child = command(name, folder, set)
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("an output"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let all = lines.clone();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                all.lock().expect("no panic").push(line);
            }
        });
        let mut running = Self {
            child,
            lines,
            at: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let line = running.printed("try: ").await;
        let (_, address) = line.split_once("127.0.0.1:").expect("an address");
        let port = address.split(|c: char| !c.is_ascii_digit()).next();
        let port = port.and_then(|port| port.parse().ok()).expect("a port");
        running.at.set_port(port);
        running
    }

    /// Waits for the first output line that contains `text`.
    async fn printed(&self, text: &str) -> String {
        soon(async {
            loop {
                let lines = self.lines.lock().expect("no panic").clone();
                if let Some(line) = lines.into_iter().find(|line| line.contains(text)) {
                    return line;
                }
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    /// Requests `url` through the example as a proxy.
    async fn ask(&self, url: &str) -> String {
        let answer = self.answer(url).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    }

    /// The target of the request is the whole `url`, also with `https`, for which most clients open
    /// a tunnel.
    async fn answer(&self, url: &str) -> Answer {
        soon(ask_as(self.at, Version::HTTP_11, support::get(url))).await
    }

    /// Stops the process with SIGTERM, like an orchestrator.
    async fn stop(mut self) {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status();
        assert!(asked.expect("kill").success());
        let status = soon(async {
            loop {
                if let Some(status) = self.child.try_wait().expect("a child") {
                    return status;
                }
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        assert!(status.success(), "{status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(name: &str, folder: &Path, set: &[(&str, &str)]) -> Command {
    let mut command = Command::new(EXAMPLES.join(name));
    command.current_dir(folder).envs(set.iter().copied());
    command
}

/// Runs an example that exits by itself.
async fn run(name: &str, folder: &Path, set: &[(&str, &str)]) -> (String, ExitStatus) {
    let mut command = command(name, folder, set);
    // The origin may run on this thread.
    let output = spawn_blocking(move || command.output()).await;
    let output = output.expect("no panic").expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (text, output.status)
}

/// An origin with TLS, and a folder with its root certificate.
struct Origin {
    server: TlsServer,
    folder: TempDir,
    root: String,
    calls: Arc<AtomicUsize>,
}

impl Origin {
    async fn start() -> Self {
        let authority = Authority::new();
        let calls = Arc::new(AtomicUsize::new(0));
        let count = calls.clone();
        let user = get(async move |extract::Path(id): extract::Path<u32>| {
            count.fetch_add(1, Ordering::Relaxed);
            format!("bob {id}")
        });
        let app = Router::new().route("/users/{id}", user);
        let server = TlsServer::start(authority.certify("localhost", HTTP1_AND_2), app).await;
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root.pem");
        fs::write(&root, authority.pem()).expect("written");
        Self {
            server,
            root: root.display().to_string(),
            folder,
            calls,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.server.addr.port())
    }

    async fn proxy(&self, name: &str) -> Running {
        Running::start(name, self.folder.path(), &[("SSL_CERT_FILE", &self.root)]).await
    }
}

// ---- behavior

#[tokio::test]
async fn simple_proxy() {
    let origin = Origin::start().await;
    let proxy = origin.proxy("simple_proxy").await;
    assert_eq!(proxy.ask(&origin.url("/users/1")).await, "bob 1");
    proxy.stop().await;
}

#[tokio::test]
async fn latency_reporting_proxy() {
    let origin = Origin::start().await;
    let proxy = origin.proxy("latency_reporting_proxy").await;
    assert_eq!(proxy.ask(&origin.url("/users/1")).await, "bob 1");
    let line = proxy.printed("GET /users/1: 200 in ").await;
    assert!(line.contains(", head after "), "{line}");
    proxy.stop().await;
}

#[tokio::test]
async fn wire_sniffing_proxy() {
    let app = Router::new().route("/users/{id}", get(async || "bob"));
    let origin = Server::start(app).await;
    let folder = tempfile::tempdir().expect("a folder");
    let proxy = Running::start("wire_sniffing_proxy", folder.path(), &[]).await;
    let url = format!("http://{}/users/1", origin.addr);
    assert_eq!(proxy.ask(&url).await, "bob");
    proxy.printed(&format!("> GET {url} HTTP/1.1")).await;
    proxy.printed("< HTTP/1.1 200 OK").await;
    proxy.printed("    bob").await;
    proxy.stop().await;
}

#[tokio::test]
async fn recording_proxy_and_replay_recorded() {
    let origin = Origin::start().await;
    let proxy = origin.proxy("recording_proxy").await;
    for path in ["/users/1", "/users/2"] {
        proxy.ask(&origin.url(path)).await;
    }
    proxy.stop().await;

    let trust = [("SSL_CERT_FILE", origin.root.as_str())];
    let (text, status) = run("replay_recorded", origin.folder.path(), &trust).await;
    assert!(status.success());
    assert!(text.ends_with("2 same, 0 different, 0 failed\n"), "{text}");
    assert_eq!(origin.calls.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn proxies_reach_origins_without_tls_and_say_what_to_do_instead_of_a_tunnel() {
    let app = Router::new().route("/users/{id}", get(async || "bob"));
    let origin = Server::start(app).await;
    let folder = tempfile::tempdir().expect("a folder");
    for name in [
        "simple_proxy",
        "latency_reporting_proxy",
        "wire_sniffing_proxy",
        "recording_proxy",
        "chaos_proxy",
        "disk_cache",
    ] {
        let proxy = Running::start(name, folder.path(), &[]).await;
        assert_eq!(proxy.ask(&origin.url("/users/1")).await, "bob", "{name}");
        let tunnel = "CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\
                      connection: close\r\n\r\n";
        let refused = talk(proxy.at, tunnel).await;
        assert!(refused.starts_with("HTTP/1.1 405 "), "{name}: {refused}");
        assert!(
            refused.contains("http://example.com:443/"),
            "{name}: {refused}"
        );
        proxy.stop().await;
    }
}

#[tokio::test]
async fn an_empty_chaos_token_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = command("chaos_app", folder.path(), &[("CHAOS_TOKEN", "")]);
    command.env("PORT", "0");
    let output = spawn_blocking(move || command.output()).await;
    let output = output.expect("no panic").expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("CHAOS_TOKEN is empty"), "{text}");
}

#[tokio::test]
async fn disk_cache() {
    let origin = Origin::start().await;
    for _ in 0..2 {
        let proxy = origin.proxy("disk_cache").await;
        for _ in 0..2 {
            assert_eq!(proxy.ask(&origin.url("/users/1")).await, "bob 1");
        }
        proxy.stop().await;
    }
    assert_eq!(origin.calls.load(Ordering::Relaxed), 1);

    // An edited entry is served as edited; a deleted entry is fetched again.
    let cache = origin.folder.path().join("cache");
    let entry = walk(&cache)
        .find(|path| path.ends_with("response.http"))
        .expect("an entry");
    let text = fs::read_to_string(&entry).expect("a text");
    fs::write(&entry, text.replace("bob 1", "alice, as I like her")).expect("written");
    let proxy = origin.proxy("disk_cache").await;
    let url = origin.url("/users/1");
    assert_eq!(proxy.ask(&url).await, "alice, as I like her");
    fs::remove_dir_all(entry.parent().expect("a folder")).expect("removed");
    assert_eq!(proxy.ask(&url).await, "bob 1");
    proxy.stop().await;
    assert_eq!(origin.calls.load(Ordering::Relaxed), 2);
}

/// Returns all files below `folder`.
fn walk(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let mut open = vec![folder.to_owned()];
    std::iter::from_fn(move || {
        while let Some(path) = open.pop() {
            let Ok(items) = fs::read_dir(&path) else {
                return Some(path);
            };
            open.extend(items.map(|item| item.expect("an item").path()));
        }
        None
    })
}

#[tokio::test]
async fn reverse_proxy() {
    let app = Router::new().route("/api/hello", get(async || "hello"));
    let origin = Server::start(app).await;
    let folder = tempfile::tempdir().expect("a folder");
    let upstream = format!("http://{}/api", origin.addr);
    let proxy = Running::start("reverse_proxy", folder.path(), &[("UPSTREAM", &upstream)]).await;
    assert_eq!(proxy.ask("http://example.com/hello").await, "hello");
    proxy.stop().await;

    for upstream in ["localhost:3000", "ftp://localhost"] {
        let (_, status) = run("reverse_proxy", folder.path(), &[("UPSTREAM", upstream)]).await;
        assert!(!status.success(), "{upstream}");
    }
}

#[tokio::test]
async fn static_file_server() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("hello.txt"), "hello").expect("written");
    let server = Running::start("static_file_server", folder.path(), &[]).await;
    let text = server.ask("http://example.com/hello.txt").await;
    assert_eq!(text, "hello");
    server.stop().await;
}

#[tokio::test]
async fn websocket_clock() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Running::start("websocket_clock", folder.path(), &[]).await;
    let (mut socket, _) = connect_async(format!("ws://{}/", clock.at))
        .await
        .expect("a WebSocket");
    let mut ticks = Vec::new();
    for _ in 0..2 {
        let tick = soon(socket.next())
            .await
            .expect("a tick")
            .expect("a message");
        ticks.push(tick.into_text().expect("a text"));
    }
    for tick in &ticks {
        humantime::parse_rfc3339(tick).expect("a time");
    }
    assert_ne!(ticks[0], ticks[1]);
    drop(socket);
    clock.stop().await;
}

#[tokio::test]
async fn chaos_proxy() {
    let origin = Origin::start().await;
    let set = [
        ("SSL_CERT_FILE", &*origin.root),
        ("CHAOS_LATENCY_MS_MIN", "7"),
        ("CHAOS_LATENCY_MS_MAX", "7"),
    ];
    let proxy = Running::start("chaos_proxy", origin.folder.path(), &set).await;
    let answer = proxy.answer(&origin.url("/users/1")).await;
    assert_eq!(answer.headers["x-chaos"], "Latency (7ms)");
    assert_eq!(answer.text(), "bob 1");
    proxy.stop().await;

    let set = [("CHAOS_LATENCY_MS_MIN", "7s")];
    let (said, status) = run("chaos_proxy", origin.folder.path(), &set).await;
    assert!(!status.success(), "{said}");
}

#[tokio::test]
async fn file_watcher() {
    let folder = tempfile::tempdir().expect("a folder");
    let watcher = Running::start("file_watcher", folder.path(), &[]).await;
    let url = format!("ws://{}/", watcher.at);
    let (mut socket, _) = connect_async(url).await.expect("a WebSocket");
    // The watcher starts some time after the handshake.
    let change = soon(async {
        loop {
            fs::write(folder.path().join("hello.txt"), "hello").expect("written");
            tokio::select! {
                change = socket.next() => break change,
                () = sleep(Duration::from_millis(50)) => {}
            }
        }
    })
    .await;
    let change = change.expect("a change").expect("a message");
    assert!(change.to_text().expect("a text").contains("hello.txt"));
    drop(socket);
    watcher.stop().await;
}

// ---- other examples

#[tokio::test]
async fn hyper_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Running::start("hyper_server", folder.path(), &[]).await;
    let client = reqwest::Client::new();
    let url = format!("http://{}/", server.at);
    let response = soon(client.post(url).body("hello").send())
        .await
        .expect("an answer");
    assert_eq!(response.text().await.expect("a text"), "hello");
    drop(client);
    server.printed("POST /: 200 in ").await;
    let lines = server.lines.clone();
    server.stop().await;
    let lines = lines.lock().expect("no panic");
    assert_eq!(
        lines.last().map(String::as_str),
        Some("recorded 1 of 1 exchanges")
    );
}

#[tokio::test]
async fn stacks() {
    let greeter = Server::start(Router::new().route("/", get(async || "hello"))).await;
    let folder = tempfile::tempdir().expect("a folder");
    let greeter = format!("http://{}/", greeter.addr);
    let app = Running::start("stacks", folder.path(), &[("GREETER", &greeter)]).await;
    let url = |path: &str| format!("http://{}{path}", app.at);
    let client = reqwest::Client::new();
    let response = soon(client.get(url("/hello/bob")).send())
        .await
        .expect("an answer");
    assert_eq!(response.headers()["x-request-id"].len(), 36);
    assert_eq!(response.text().await.expect("a text"), "hello");
    let response = soon(client.get(url("/panic")).send())
        .await
        .expect("an answer");
    assert_eq!(response.status(), 500);
    drop((response, client));

    let lines = app.lines.clone();
    app.stop().await;
    let lines = lines.lock().expect("no panic").join("\n");
    for route in ["/hello/{name}", "/panic", "500"] {
        assert!(lines.contains(route), "{route}: {lines}");
    }
    for recording in ["incoming", "outgoing"] {
        let files = fs::read_dir(folder.path().join(recording)).expect(recording);
        assert!(files.count() > 0, "{recording}");
    }
}

#[tokio::test]
async fn reqwest_client_and_hyper_client() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["reqwest_client", "hyper_client"] {
        let (text, status) = run(name, folder.path(), &[]).await;
        assert!(status.success(), "{name}: {text}");
        for outcome in ["received: ", "recorded: 1 of 1", "replayed: ", "refused: "] {
            assert!(text.contains(outcome), "{name}: {text}");
        }
    }
}
