use std::fmt::Write;

use super::Measurement;

impl Measurement {
    /// Returns http4k's label: method, route, class of status and status, separated by dots.
    ///
    /// | exchange | label |
    /// |---|---|
    /// | `GET /users/{id}`, 200 | `GET.users_:id.2xx.200` |
    /// | `GET /files/{*path}`, 404 | `GET.files_*path.4xx.404` |
    /// | `GET /`, 200 | `GET._.2xx.200` |
    /// | a path without a route, `POST /v1.2/a%20b` | `POST.v1_2_a_20b.2xx.201` |
    /// | a path beyond [`max_paths`](super::ReportLatency::max_paths) | `GET.other.2xx.200` |
    /// | an unknown method | `_OTHER.users_:id.5xx.501` |
    /// | the client was gone before the response head | `GET.users_:id.failed.client_gone` |
    /// | the inner service failed | `GET.users_:id.failed.service_error` |
    /// | the inner service panicked | `GET.users_:id.failed.panic` |
    ///
    /// In the route, the first slash is removed, `{name}` becomes `:name`, `{*name}` becomes
    /// `*name`, and any other character than an ASCII letter, a digit and `_-:*` becomes `_`. The
    /// label therefore always has four parts.
    ///
    /// If there was a response, the label has its status, even if the response body failed.
    pub fn label(&self) -> String {
        let mut label = String::with_capacity(64);
        label.push_str(self.known_method());
        label.push('.');
        push_route(&mut label, self.route());
        // Always succeeds.
        let _ = match self.status().map(|status| status.as_u16()) {
            Some(status) => write!(label, ".{}xx.{status}", status / 100),
            None => write!(label, ".failed.{}", self.error_type().unwrap_or("error")),
        };
        label
    }
}

fn push_route(label: &mut String, route: &str) {
    let route = match route.strip_prefix('/') {
        Some("") | None => route,
        Some(rest) => rest,
    };
    let mut chars = route.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            // A capture becomes its name.
            '{' if chars.peek() == Some(&'*') => {}
            '{' => label.push(':'),
            '}' => {}
            char if char.is_ascii_alphanumeric() || "_-:*".contains(char) => label.push(char),
            _ => label.push('_'),
        }
    }
}
