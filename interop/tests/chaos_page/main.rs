//! The page of the control API, in headless Chromium (Debian's `chromium` and `chromium-driver`),
//! with screenshots in `target/chaos-page`.
//!
//! Without these programs, the tests are reported as ignored.

mod browser;

use std::{
    net::SocketAddr,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::available_parallelism,
    time::Duration,
};

use axum::{Router, body::Body, routing::get};
use browser::{Browser, with_browser};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use libtest_mimic::{Arguments, Trial};
use serde_json::{Value, json};
use thirtyfour::{Key, prelude::*};
use tokio::{net::TcpListener, runtime::Runtime, time::sleep};
use tower::{ServiceExt, util::MapRequestLayer};
use tower_traffic::chaos::{Behavior, Chaos, ChaosApi, ChaosEngine, Stage, Trigger};

fn main() -> ExitCode {
    let missing = browser::missing();
    if let Some(program) = missing {
        eprintln!(
            "ignored: `{program}` does not run here; `apt-get install chromium chromium-driver` \
             brings it"
        );
    }
    let trial = |name, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let in_browser = |name, test| trial(name, test).with_ignored_flag(missing.is_some());
    let trials = vec![
        trial("presets_are_documents", presets_are_documents),
        in_browser("switches_on_and_off", switches_on_and_off),
        in_browser("works_by_keyboard_alone", works_by_keyboard_alone),
        in_browser(
            "shows_errors_with_their_place",
            shows_errors_with_their_place,
        ),
        in_browser("keeps_typed_text", keeps_typed_text),
        in_browser("asks_for_the_token", asks_for_the_token),
        in_browser("shows_a_lost_connection", shows_a_lost_connection),
        in_browser("is_idle_while_hidden", is_idle_while_hidden),
        in_browser("repeats_decisions", repeats_decisions),
        in_browser("works_below_any_path", works_below_any_path),
        in_browser("is_readable_everywhere", is_readable_everywhere),
    ];
    let mut arguments = Arguments::from_args();
    // A browser is several processes; too many of them slow each other down.
    let processors = available_parallelism().map_or(1, usize::from);
    arguments.test_threads.get_or_insert(processors.div_ceil(2));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// An app with chaos and its control API.
struct App {
    at: SocketAddr,
    engine: ChaosEngine,
    /// Number of requests for the state.
    asked: Arc<AtomicUsize>,
    /// A runtime of its own, so that connections end when the app is dropped.
    runtime: Option<Runtime>,
}

fn app(engine: &ChaosEngine, token: Option<&str>) -> Router {
    let app = Router::new().route("/", get(async || "hello"));
    let api = ChaosApi::new(engine);
    let app = match token {
        Some(token) => api.token(token).beside(app),
        None => api.beside(app),
    };
    app.nest("/ops", ChaosApi::new(engine).path("/break/it").router())
}

impl App {
    async fn start(token: Option<&str>) -> Self {
        let chaos = Chaos::new().seed(7).expire_after(Duration::from_hours(1));
        Self::with(chaos.engine(), token, "127.0.0.1:0").await
    }

    async fn with(engine: ChaosEngine, token: Option<&str>, at: &str) -> Self {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let count = MapRequestLayer::new(move |request: axum::extract::Request| {
            let is_state = request.uri().path().ends_with("/state");
            counted.fetch_add(usize::from(is_state), Ordering::Relaxed);
            request
        });
        let app = app(&engine, token).layer(count);
        let listener = TcpListener::bind(at).await.unwrap();
        let at = listener.local_addr().unwrap();
        let listener = listener.into_std().unwrap();
        let runtime = Runtime::new().unwrap();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
        Self {
            at,
            engine,
            asked,
            runtime: Some(runtime),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    async fn open(&self, browser: &Browser) {
        browser.driver.goto(self.url("/chaos/ui")).await.unwrap();
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

const OFF: &str = "Chaos is off";
const ON: &str = "Chaos is on";

async fn choose(browser: &Browser, preset: &str) {
    let option = format!("//select[@id='preset']//option[.={preset:?}]");
    let option = browser.driver.find(By::XPath(option)).await.unwrap();
    option.click().await.unwrap();
    browser.click("#load").await;
}

async fn write(browser: &Browser, document: &str) {
    let editor = browser.find("#document").await;
    editor.clear().await.unwrap();
    editor.send_keys(document).await.unwrap();
}

async fn is_seen(browser: &Browser, css: &str) -> bool {
    browser.find(css).await.is_displayed().await.unwrap()
}

async fn written(browser: &Browser) -> String {
    let value = browser.find("#document").await.prop("value").await;
    value.unwrap().unwrap()
}

#[tokio::main]
async fn presets_are_documents() {
    let engine = Chaos::new().engine();
    let request = Request::get("/chaos/ui").body(Body::empty()).unwrap();
    let answer = app(&engine, None).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let page = answer.into_body().collect().await.unwrap().to_bytes();
    let page = String::from_utf8(page.to_vec()).unwrap();
    let (_, rest) = page.split_once("id=\"presets\">").unwrap();
    let (presets, _) = rest.split_once("</script>").unwrap();
    let groups: Value = serde_json::from_str(presets).unwrap();
    let mut count = 0;
    for (name, document) in groups.as_object().unwrap().values().flat_map(each) {
        let stage = document.to_string().parse::<Stage>();
        assert!(stage.is_ok(), "{name}: {stage:?}");
        count += 1;
    }
    assert!(count >= 8, "{count}");
}

fn each(group: &Value) -> impl Iterator<Item = (&String, &Value)> {
    group.as_object().unwrap().iter()
}

#[tokio::main]
async fn switches_on_and_off() {
    let app = App::start(None).await;
    with_browser(async |browser| {
        app.open(browser).await;
        browser.until_says("#is", OFF).await;
        assert_eq!(browser.driver.title().await.unwrap(), OFF);
        assert_eq!(browser.find("#seed").await.text().await.unwrap(), "7");
        assert_eq!(browser.fetch("/").await, 200);
        browser.picture("off").await;

        choose(browser, "Every request fails with 503").await;
        assert_eq!(app.engine.to_string(), "none", "not before it is applied");
        browser.click("#apply button").await;
        browser.until_says("#is", ON).await;
        assert_eq!(browser.driver.title().await.unwrap(), ON);
        let applied = "Always ReturnStatus (503)";
        assert_eq!(app.engine.to_string(), applied);
        browser.until_says("#applied", applied).await;

        for _ in 0..3 {
            assert_eq!(browser.fetch("/").await, 503);
        }
        browser.until_says("#requests", "3").await;
        browser.until_says("#affected", "3").await;
        browser.until_says("#active", "0").await;
        browser
            .until_text("#ends", |text| text.starts_with("In 59 min"))
            .await;
        browser.until_says("#by tbody", "status\t3").await;
        let decisions = browser.until_text("#decisions tbody", |text| text.starts_with('2'));
        assert_eq!(decisions.await.lines().count(), 3);
        // Chromium reports the three failed requests, and nothing else.
        let complaints = browser.complaints().await;
        assert!(
            complaints.iter().all(|said| said.contains("503")),
            "{complaints:?}"
        );
        browser.picture("on").await;

        browser.click("#off").await;
        browser.until_says("#is", OFF).await;
        assert!(!app.engine.is_enabled());
        assert_eq!(browser.fetch("/").await, 200);
        browser.until_says("#requests", "3").await;

        browser.click("#on").await;
        browser.until_says("#is", ON).await;
        assert_eq!(browser.fetch("/").await, 503);

        // The page shows changes that were made elsewhere.
        app.engine.disable();
        browser.until_says("#is", OFF).await;
    })
    .await;
}

#[tokio::main]
async fn works_by_keyboard_alone() {
    let app = App::start(None).await;
    with_browser(async |browser| {
        app.open(browser).await;
        browser.until_says("#is", OFF).await;

        // Tab reaches every control, and each shows its focus.
        let mut reached = Vec::new();
        loop {
            browser.press(Key::Tab).await;
            let outline = "return document.activeElement === document.body ? null : \
                           getComputedStyle(document.activeElement).outlineWidth";
            match browser.run(outline, json!([])).await {
                Value::Null => break,
                width => assert_eq!(width, "3px", "{reached:?}"),
            }
            reached.push(browser.focused().await);
            assert!(reached.len() < 20, "{reached:?}");
        }
        let controls = ["on", "off", "preset", "load", "document"];
        let mut from = reached.iter();
        assert!(
            controls.iter().all(|id| from.any(|at| at == id)),
            "{reached:?}"
        );

        let tab_to = async |id: &str| {
            while browser.focused().await != id {
                browser.press(Key::Tab).await;
            }
        };
        tab_to("preset").await;
        browser.press(Key::Down).await;
        browser.press(Key::Tab).await;
        browser.press(Key::Enter).await;
        tab_to("document").await;
        browser.press(Key::Tab).await;
        browser.picture("focus").await;
        browser.press(Key::Space).await;
        browser.until_says("#is", ON).await;
        assert_eq!(browser.fetch("/").await, 503);

        tab_to("off").await;
        browser.press(Key::Enter).await;
        browser.until_says("#is", OFF).await;
        assert_eq!(browser.focused().await, "off");
        assert_eq!(browser.fetch("/").await, 200);
    })
    .await;
}

#[tokio::main]
async fn shows_errors_with_their_place() {
    let app = App::start(None).await;
    app.engine.enable_with(Behavior::none());
    let before = app.engine.to_string();
    with_browser(async |browser| {
        app.open(browser).await;
        browser.until_says("#is", ON).await;

        let bad = r#"{"type": "trigger", "behaviour": {"type": "none"},
            "trigger": {"type": "percentage", "percentage": 101}}"#;
        write(browser, bad).await;
        browser.click("#apply button").await;
        let said = browser
            .until_text("#document-wrong", |text| !text.is_empty())
            .await;
        assert!(
            said.contains("$.trigger.percentage") && said.contains("101"),
            "{said}"
        );
        assert_eq!(written(browser).await, bad);
        assert_eq!(browser.focused().await, "document");
        let invalid = browser.find("#document").await.attr("aria-invalid").await;
        assert_eq!(invalid.unwrap().as_deref(), Some("true"));
        assert_eq!(app.engine.to_string(), before);
        browser.picture("error").await;

        // Text from the document is not interpreted as HTML.
        write(browser, r#"{"type": "<img src=x onerror=alert(1)>"}"#).await;
        browser.click("#apply button").await;
        browser
            .until_text("#document-wrong", |text| text.contains("<img"))
            .await;
        let images = browser
            .run("return document.images.length", json!([]))
            .await;
        assert_eq!(images, 0);

        write(browser, "{\"type\":\n  wait}").await;
        browser.click("#apply button").await;
        browser
            .until_text("#document-wrong", |text| text.contains("line 2 column 3"))
            .await;
        let selection =
            "return document.activeElement.value[document.activeElement.selectionStart]";
        assert_eq!(browser.run(selection, json!([])).await, "w");

        write(browser, "").await;
        browser.click("#apply button").await;
        browser
            .until_text("#document-wrong", |text| text.contains('$'))
            .await;
        assert_eq!(app.engine.to_string(), before);

        write(browser, r#"{"type": "wait"}"#).await;
        browser.click("#apply button").await;
        browser.until_says("#document-told", "Applied.").await;
        browser.until_says("#document-wrong", "").await;
        assert_eq!(app.engine.to_string(), "Wait");
        let complaints = browser.complaints().await;
        assert!(
            complaints.iter().all(|said| said.contains("400")),
            "{complaints:?}"
        );
    })
    .await;
}

#[tokio::main]
async fn keeps_typed_text() {
    let app = App::start(None).await;
    with_browser(async |browser| {
        app.open(browser).await;
        browser.until_says("#is", OFF).await;
        let mine = r#"{"type": "wait", "note": "mine"}"#;
        write(browser, mine).await;

        choose(browser, "Truncated bodies").await;
        assert!(written(browser).await.contains("snip"));
        browser.click("#back").await;
        assert_eq!(written(browser).await, mine);

        browser.driver.refresh().await.unwrap();
        browser.until_says("#is", OFF).await;
        assert_eq!(written(browser).await, mine);

        choose(browser, "Current document").await;
        let document = serde_json::from_str::<Value>(&written(browser).await).unwrap();
        assert_eq!(document, json!({ "type": "wait" }));
    })
    .await;
}

#[tokio::main]
async fn asks_for_the_token() {
    let app = App::start(Some("open-sesame")).await;
    with_browser(async |browser| {
        app.open(browser).await;
        browser.until_says("#is", "Locked").await;
        assert_eq!(browser.focused().await, "token");
        let kind = browser.find("#token").await.attr("type").await;
        assert_eq!(kind.unwrap().as_deref(), Some("password"));
        browser.picture("locked").await;

        let enter = async |token: &str| {
            let field = browser.find("#token").await;
            field.clear().await.unwrap();
            field.send_keys(token + Key::Enter).await.unwrap();
        };
        enter("open-barley").await;
        browser.until_says("#guard-why", "Wrong token.").await;
        // A token that no header can carry is not mistaken for a lost connection.
        enter("öffne dich").await;
        browser
            .until_text("#guard-why", |text| text.contains("ASCII"))
            .await;
        enter("open-sesame").await;
        browser.until_says("#is", OFF).await;
        assert!(!is_seen(browser, "#guard").await);

        browser.click("#on").await;
        browser.until_says("#is", ON).await;
        assert!(app.engine.is_enabled());

        browser.driver.refresh().await.unwrap();
        browser.until_says("#is", ON).await;
        let kept = "return [location.href, localStorage.length, document.cookie].join(' ')";
        let kept = browser.run(kept, json!([])).await;
        assert_eq!(kept, format!("{} 0 ", app.url("/chaos/ui")));
    })
    .await;
}

#[tokio::main]
async fn shows_a_lost_connection() {
    let app = App::start(None).await;
    app.engine.enable_with(Behavior::none());
    let (at, engine) = (app.at.to_string(), app.engine.clone());
    with_browser(async |browser| {
        app.open(browser).await;
        browser.until_says("#is", ON).await;
        drop(app);
        browser.until_says("#is", "Not reachable, was on").await;
        assert!(is_seen(browser, "#retry").await);
        browser.picture("gone").await;
        browser.click("#off").await;
        browser
            .until_text("#failed", |text| text.contains("Action failed"))
            .await;
        assert!(engine.is_enabled());

        let _app = App::with(engine, None, &at).await;
        browser.click("#retry").await;
        browser.until_says("#is", ON).await;
        assert!(!is_seen(browser, "#retry").await);
    })
    .await;
}

#[tokio::main]
async fn is_idle_while_hidden() {
    let app = App::start(None).await;
    with_browser(async |browser| {
        app.open(browser).await;
        browser.until_says("#is", OFF).await;
        let here = browser.driver.window().await.unwrap();
        let elsewhere = browser.driver.new_tab().await.unwrap();
        browser.driver.switch_to_window(elsewhere).await.unwrap();
        // Requests from before are answered first.
        sleep(Duration::from_secs(1)).await;
        let asked = app.asked.load(Ordering::Relaxed);
        sleep(Duration::from_secs(3)).await;
        assert_eq!(app.asked.load(Ordering::Relaxed), asked);

        app.engine.enable_with(Behavior::none());
        browser.driver.switch_to_window(here).await.unwrap();
        browser.until_says("#is", ON).await;
    })
    .await;
}

#[tokio::main]
async fn repeats_decisions() {
    let app = App::start(None).await;
    let fails = Behavior::status(StatusCode::SERVICE_UNAVAILABLE);
    app.engine
        .enable_with(Stage::when(Trigger::percentage(50.0), fails));
    with_browser(async |browser| {
        app.open(browser).await;
        let fetch_all = async || {
            let mut statuses = Vec::new();
            for _ in 0..20 {
                statuses.push(browser.fetch("/").await);
            }
            statuses
        };
        let first = fetch_all().await;
        assert!(first.contains(&200) && first.contains(&503), "{first:?}");
        let affected = first.iter().filter(|status| **status == 503).count();
        let shown = |text: &str| text.lines().count() == affected;
        browser.until_text("#decisions tbody", shown).await;
        browser.click("#off").await;
        browser.until_says("#is", OFF).await;

        // Two runs: repeated decisions are not recorded again.
        for _ in 0..2 {
            browser.click("#again").await;
            browser.until_says("#requests", "0").await;
            assert_eq!(fetch_all().await, first);
            browser.until_says("#requests", "20").await;
            browser.until_text("#decisions tbody", shown).await;
        }
    })
    .await;
}

#[tokio::main]
async fn works_below_any_path() {
    let app = App::start(None).await;
    with_browser(async |browser| {
        let page = app.url("/ops/break/it/ui");
        browser.driver.goto(page).await.unwrap();
        browser.until_says("#is", OFF).await;
        browser.click("#on").await;
        browser.until_says("#is", ON).await;
        let shell = app.url("/ops/break/it/deactivate");
        browser
            .until_text("#shell", |text| text.contains(&shell))
            .await;
    })
    .await;
}

#[tokio::main]
async fn is_readable_everywhere() {
    let app = App::start(None).await;
    let fails = Behavior::status(StatusCode::SERVICE_UNAVAILABLE);
    app.engine
        .enable_with(Stage::when(Trigger::percentage(50.0), fails));
    with_browser(async |browser| {
        app.open(browser).await;
        browser.until_says("#is", ON).await;
        for _ in 0..40 {
            browser.fetch("/").await;
        }
        browser.until_says("#requests", "40").await;
        browser.prefer("prefers-color-scheme", "dark").await;
        browser.picture("dark").await;
        browser.prefer("prefers-color-scheme", "light").await;
        // The narrowest width of WCAG 2.2 (1.4.10).
        browser.resize(320, 1800).await;
        let beside =
            "const page = document.documentElement; return page.scrollWidth - page.clientWidth";
        assert_eq!(browser.run(beside, json!([])).await, 0);
        browser.picture("narrow").await;
    })
    .await;
}
