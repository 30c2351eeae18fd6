//! `curl` as a client in tests.

use std::{
    future::Future,
    process::{Command, Stdio},
};

use libtest_mimic::Trial;
use tokio::{io::AsyncWriteExt, runtime::Runtime};

/// The installed `curl`.
pub struct Curl {
    is_missing: bool,
    has_http2: bool,
}

impl Curl {
    /// Looks for `curl`, and prints which tests are ignored.
    pub fn find() -> Self {
        let version = Command::new("curl").arg("--version").output();
        let version = version.map_or(String::new(), |output| {
            String::from_utf8_lossy(&output.stdout).into_owned()
        });
        let found = Self {
            is_missing: version.is_empty(),
            has_http2: version.contains("HTTP2"),
        };
        if found.is_missing {
            eprintln!("ignored: cannot run `curl`; install it with `apt-get install curl`");
        } else if !found.has_http2 {
            eprintln!("ignored in part: this `curl` does not support HTTP/2");
        }
        found
    }

    /// Returns a test that is ignored if `curl` is missing, or does not support a needed HTTP/2.
    pub fn trial<F>(
        &self,
        name: impl Into<String>,
        needs_http2: bool,
        test: impl FnOnce() -> F + Send + 'static,
    ) -> Trial
    where
        F: Future<Output = ()> + 'static,
    {
        let is_ignored = self.is_missing || (needs_http2 && !self.has_http2);
        Trial::test(name, move || {
            Runtime::new().expect("a runtime").block_on(test());
            Ok(())
        })
        .with_ignored_flag(is_ignored)
    }
}

/// The result of a `curl` process.
pub struct Curled {
    pub code: i32,
    /// The standard output; with `-i`, it includes response heads.
    pub body: Vec<u8>,
    /// `body` as text.
    pub text: String,
    /// The response heads and trailers.
    pub head: String,
    /// The verbose log.
    pub log: String,
}

impl Curled {
    /// The values of a header or trailer.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    pub fn length(&self) -> Option<usize> {
        let values = self.values("content-length");
        Some(values.first()?.parse().expect("a number"))
    }
}

/// Runs `curl` without the settings and proxies of the user.
pub async fn curl<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Curled {
    curl_sending(arguments, "").await
}

/// Runs `curl` with `input` as its standard input.
pub async fn curl_sending<'a>(
    arguments: impl IntoIterator<Item = &'a str>,
    input: &'static str,
) -> Curled {
    let head = tempfile::NamedTempFile::new().expect("a file");
    let mut command = tokio::process::Command::new("curl");
    command
        // `-q` must be the first argument: it disables the user's own settings.
        .args(["-q", "-sS", "-v", "--max-time", "20", "-D"])
        .arg(head.path())
        .args(arguments);
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("curl runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    tokio::spawn(async move {
        // Writing fails if `curl` does not read its input.
        let _ = stdin.write_all(input.as_bytes()).await;
    });
    let output = child.wait_with_output().await.expect("curl ends");
    Curled {
        code: output.status.code().unwrap_or(-1),
        text: String::from_utf8_lossy(&output.stdout).into_owned(),
        body: output.stdout,
        head: std::fs::read_to_string(head.path()).expect("the head"),
        log: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
