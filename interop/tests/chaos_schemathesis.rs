//! The control API behaves as its OpenAPI document describes it: schemathesis (from PyPI) sends
//! valid and invalid requests for every operation.
//!
//! Without `schemathesis`, these tests are reported as ignored.

use std::{
    path::Path,
    process::{Command, ExitCode},
};

use axum::{Router, routing::get};
use libtest_mimic::{Arguments, Trial};
use tokio::{net::TcpListener, runtime::Runtime};
use tower_traffic::chaos::{Chaos, ChaosApi};

fn main() -> ExitCode {
    let version = Command::new("schemathesis").arg("--version").output();
    let is_missing = !version.is_ok_and(|output| output.status.success());
    if is_missing {
        eprintln!(
            "ignored: `schemathesis` does not run here; `pip install schemathesis` brings it"
        );
    }
    let trial = |name, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
        .with_ignored_flag(is_missing)
    };
    let trials = vec![
        trial("the_api_conforms", || finds_no_violation(None)),
        trial("the_api_conforms_with_a_token", || {
            finds_no_violation(Some("s3cret"));
        }),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn finds_no_violation(token: Option<&str>) {
    let runtime = Runtime::new().unwrap();
    let mut api = ChaosApi::new(&Chaos::new().engine()).path("/admin/chaos");
    if let Some(token) = token {
        api = api.token(token);
    }
    let app = api.beside(Router::new().route("/users", get(async || "bob")));
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move { axum::serve(listener, app).await });

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis");
    let scratch = tempfile::tempdir().unwrap();
    let mut command = Command::new("schemathesis");
    command
        .arg("--config-file")
        .arg(folder.join("schemathesis.toml"))
        .args(["run", &format!("http://{address}/admin/chaos")])
        // Reproducible, and limited to a few minutes.
        .args(["--max-examples", "100", "--generation-deterministic"])
        // Replaced by the check in `hooks.py`.
        .args(["--exclude-checks", "positive_data_acceptance"])
        .arg("--no-color")
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", &folder)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(scratch.path());
    if let Some(token) = token {
        command.args(["-H", &format!("Authorization: Bearer {token}")]);
        // The other test sends documents, which takes minutes.
        command.args(["--exclude-path-regex", "activate"]);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{text}");
    // For example, about operations that were not tested.
    assert!(!text.contains("WARNINGS"), "{text}");
    assert!(text.contains("No issues found"), "{text}");
}
