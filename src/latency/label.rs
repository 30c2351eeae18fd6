use std::fmt::Write;

use super::Measurement;

impl Measurement {
    /// http4k's label: method, route, class of status and status, with dots between.
    ///
    /// | exchange | label |
    /// |---|---|
    /// | `GET /users/{id}`, 200 | `GET.users_:id.2xx.200` |
    /// | `GET /files/{*path}`, 404 | `GET.files_*path.4xx.404` |
    /// | `GET /`, 200 | `GET._.2xx.200` |
    /// | a path without a route, `POST /v1.2/a%20b` | `POST.v1_2_a_20b.2xx.201` |
    /// | a path too many | `GET.other.2xx.200` |
    /// | a method that is not known | `_OTHER.users_:id.5xx.501` |
    /// | the caller went away before the head | `GET.users_:id.failed.client_gone` |
    /// | the service failed | `GET.users_:id.failed.service_error` |
    /// | the service panicked | `GET.users_:id.failed.panic` |
    ///
    /// The rule for the route: the first slash goes, `{name}` becomes `:name` and `{*name}` becomes
    /// `*name`, and each character that is not an ASCII letter, a digit or one of `_-:*` becomes
    /// `_`. So there are always four parts.
    ///
    /// A response whose head came has its status here, however its body ended.
    pub fn label(&self) -> String {
        let mut label = String::with_capacity(64);
        label.push_str(self.known_method());
        label.push('.');
        push_route(&mut label, self.route());
        // Writing to a string cannot fail.
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
            // Of a capture, the name is left.
            '{' if chars.peek() == Some(&'*') => {}
            '{' => label.push(':'),
            '}' => {}
            char if char.is_ascii_alphanumeric() || "_-:*".contains(char) => label.push(char),
            _ => label.push('_'),
        }
    }
}
