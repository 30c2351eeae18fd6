//! A Chromium without a window, driven through its `WebDriver`.

use std::{
    env,
    fs::{self, File},
    io::{self, BufRead, BufReader},
    panic::{AssertUnwindSafe, resume_unwind},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use futures::FutureExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::{
    ChromiumLikeCapabilities, DesiredCapabilities, Key, WebDriver, WebElement, prelude::*,
};

/// Generous, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// The first program that is not installed.
pub(crate) fn missing() -> Option<&'static str> {
    ["chromium", "chromedriver"].into_iter().find(|program| {
        let output = Command::new(program).arg("--version").output();
        !output.is_ok_and(|output| output.status.success())
    })
}

pub(crate) struct Browser {
    pub(crate) driver: WebDriver,
    // Dropped after the browser has closed.
    _process: Process,
    _profile: TempDir,
}

/// A `chromedriver` process, killed on drop.
struct Process(
    Child,
    #[allow(dead_code, reason = "it writes there")] BufReader<ChildStdout>,
);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a test with a browser, and closes the browser even if the test panics.
pub(crate) async fn with_browser(test: impl AsyncFnOnce(&Browser)) {
    let browser = Browser::start().await.unwrap();
    let outcome = AssertUnwindSafe(test(&browser)).catch_unwind().await;
    let closed = browser.driver.quit().await;
    outcome.unwrap_or_else(|panic| resume_unwind(panic));
    closed.unwrap();
}

impl Browser {
    async fn start() -> WebDriverResult<Self> {
        let profile = tempfile::tempdir().unwrap();
        let (process, port) = start_driver(profile.path()).unwrap();
        let mut asked = DesiredCapabilities::chrome();
        for argument in [
            // As root, and in containers, its sandbox does not work.
            "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run",
            // No requests of the browser's own.
            "--disable-background-networking --disable-component-update --disable-sync",
            "--disable-quic --no-proxy-server --window-size=1280,1300",
        ]
        .into_iter()
        .flat_map(str::split_whitespace)
        {
            asked.add_arg(argument)?;
        }
        let folder = profile.path().join("profile");
        asked.add_arg(&format!("--user-data-dir={}", folder.display()))?;
        asked.set("goog:loggingPrefs", json!({ "browser": "ALL" }))?;
        let client = reqwest::Client::builder().no_proxy().build()?;
        let driver = WebDriver::builder(format!("http://127.0.0.1:{port}"), asked)
            .client(client)
            .connect()
            .await?;
        driver.set_script_timeout(PATIENCE).await?;
        Ok(Self {
            driver,
            _process: process,
            _profile: profile,
        })
    }

    pub(crate) async fn find(&self, css: &str) -> WebElement {
        self.driver.find(By::Css(css)).await.unwrap()
    }

    pub(crate) async fn click(&self, css: &str) {
        self.find(css).await.click().await.unwrap();
    }

    /// Waits until the text of an element satisfies a condition.
    pub(crate) async fn until_text(&self, css: &str, is_so: impl Fn(&str) -> bool) -> String {
        let script = "return document.querySelector(arguments[0])?.innerText ?? ''";
        self.until(script, json!([css]), |value| {
            value.as_str().is_some_and(&is_so)
        })
        .await
        .as_str()
        .unwrap()
        .to_owned()
    }

    pub(crate) async fn until_says(&self, css: &str, text: &str) {
        self.until_text(css, |found| found == text).await;
    }

    /// Waits until the result of a script satisfies a condition.
    pub(crate) async fn until(
        &self,
        script: &str,
        arguments: Value,
        is_right: impl Fn(&Value) -> bool,
    ) -> Value {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let value = self.run(script, arguments.clone()).await;
            if is_right(&value) {
                return value;
            }
            let now = tokio::time::Instant::now();
            assert!(now < deadline, "{script} {arguments}: still {value}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Runs a script in the page.
    pub(crate) async fn run(&self, script: &str, arguments: Value) -> Value {
        let Value::Array(arguments) = arguments else {
            panic!("not a list: {arguments}")
        };
        let done = self.driver.execute(script, arguments).await.unwrap();
        done.json().clone()
    }

    /// The status of a request from the page to the app.
    pub(crate) async fn fetch(&self, path: &str) -> u64 {
        let script = "const [path, done] = arguments; \
                      fetch(path).then(answer => done(answer.status), () => done(0));";
        let arguments = vec![json!(path)];
        let done = self.driver.execute_async(script, arguments).await.unwrap();
        done.json().as_u64().unwrap()
    }

    pub(crate) async fn press(&self, key: Key) {
        let keys = self.driver.action_chain().send_keys(key);
        keys.perform().await.unwrap();
    }

    /// The id of the focused element, or an empty string.
    pub(crate) async fn focused(&self) -> String {
        let focused = self
            .run("return document.activeElement.id", json!([]))
            .await;
        focused.as_str().unwrap().to_owned()
    }

    /// Console messages since the last call: errors, warnings, violations of the CSP.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.driver.browser_log().await.unwrap();
        log.into_iter()
            .filter(|entry| entry.level == "SEVERE" || entry.level == "WARNING")
            .map(|entry| entry.message)
            .collect()
    }

    /// Saves a screenshot in `target/chaos-page`.
    pub(crate) async fn picture(&self, name: &str) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../chaos-page");
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join(name).with_extension("png");
        self.driver.screenshot(&file).await.unwrap();
    }

    /// Resizes the page, in CSS pixels.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        let command = "Emulation.setDeviceMetricsOverride";
        self.driver.cdp().send_raw(command, size).await.unwrap();
    }

    /// Sets a media feature: `prefers-color-scheme`, `dark`.
    pub(crate) async fn prefer(&self, feature: &str, value: &str) {
        let media = json!({ "features": [{ "name": feature, "value": value }] });
        let command = "Emulation.setEmulatedMedia";
        self.driver.cdp().send_raw(command, media).await.unwrap();
    }
}

/// Starts `chromedriver` on a free port.
fn start_driver(folder: &Path) -> io::Result<(Process, u16)> {
    let log = File::create(folder.join("chromedriver.log"))?;
    let mut child = Command::new("chromedriver")
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut process = None;
    let mut line = String::new();
    while lines.read_line(&mut line)? > 0 {
        if let Some((_, rest)) = line.split_once("started successfully on port ") {
            let port = rest.trim_end().trim_end_matches('.').parse();
            process = Some(port.expect("a port"));
            break;
        }
        line.clear();
    }
    let process_of = Process(child, lines);
    match process {
        Some(port) => Ok((process_of, port)),
        None => Err(io::Error::other("chromedriver does not start")),
    }
}
