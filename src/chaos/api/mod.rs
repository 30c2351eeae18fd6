//! The control API: an HTTP API and a page to control the chaos engine.

mod guard;
mod openapi;
mod origin;
mod page;
mod reply;
mod routes;
mod state;

use std::{fmt, sync::Arc};

use axum::{Router, middleware};
use tower_http::cors::{AllowOrigin, CorsLayer};

use self::{guard::Token, origin::Origins};
use super::{Chaos, engine::ChaosEngine};

/// Controls a [`ChaosEngine`] over HTTP, next to the app that it affects.
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_traffic::chaos::{Chaos, ChaosApi};
///
/// let engine = Chaos::new().engine();
/// let app: Router = Router::new().route("/users/{id}", get(async || "bob"));
/// let app = ChaosApi::new(&engine).token("s3cret").beside(app);
/// ```
///
/// The app now has a [`Chaos`] layer, which is off until a client switches it on:
///
/// ```sh
/// curl -H 'Authorization: Bearer s3cret' localhost:8000/chaos/activate -d '{
///     "type": "trigger",
///     "trigger": {"type": "percentage", "percentage": 10},
///     "behaviour": {"type": "status", "status": 503}
/// }'
/// ```
///
/// or until a person does so at `/chaos/ui`. Use [`router`](Self::router) in place of
/// [`beside`](Self::beside) to place the layers yourself.
///
/// # Routes
///
/// | route | effect or answer |
/// |---|---|
/// | `GET /chaos` | OpenAPI 3.1 document of these routes and of the documents that they read |
/// | `GET /chaos/status` | the applied stage |
/// | `POST /chaos/activate` | switches on the current stage, or the document in the body |
/// | `POST /chaos/activate/new` | switches on the document in the body, which is required |
/// | `POST /chaos/deactivate` | switches chaos off |
/// | `POST /chaos/toggle` | switches chaos off if it is on, and on if it is off |
/// | `GET /chaos/state` | document, counters, seed and time of expiry |
/// | `GET /chaos/decisions` | the most recent [decisions](ChaosEngine::decisions) |
/// | `POST /chaos/activate/again` | [repeats](ChaosEngine::enable_again) the decisions in the body |
/// | `GET /chaos/ui` | page to control chaos in a browser |
///
/// The routes up to `toggle` are http4k's and answer `{"chaos":"<text>"}`, with `none` while chaos
/// is off. A document is JSON of at most 1 MiB, as [`Stage`](super::Stage) reads it; its media type
/// is ignored. Decisions are a JSON array of at most 4 MiB. An invalid document changes nothing;
/// the answer is 400 with `{"error":"<reason>","path":"$.trigger"}`.
///
/// # Access control
///
/// With a [token](Self::token), every route except the page requires the token, and answers 401
/// before any other check. The page contains no secrets and asks for the token. Without a token,
/// every client that can reach the API has access.
///
/// Pages of other sites have no access, because the browser of a developer could otherwise switch
/// on chaos on the developer's machine: a POST that the browser marks as cross-site
/// (`Sec-Fetch-Site`, or an `Origin` other than the host) is answered with 403, unless [its origin
/// is allowed](Self::allow_origin). A site that points its own name at your machine (DNS rebinding)
/// passes this check; set a token.
///
/// # Exempt from chaos
///
/// The engine knows the routes of its control APIs. Requests to these routes are neither affected
/// nor counted, wherever a [`Chaos`] of this engine is added: around the app, around both, or
/// around a router in which both are nested. The engine compares the route that axum matched or,
/// before that, the path: exempt are paths below the [path](Self::path) of the API, and paths that
/// end in a route of the API. A route of the app that looks like `/any/chaos/status` is therefore
/// exempt, too.
///
/// # Every setting, at its default
///
/// ```
/// # use tower_traffic::chaos::{Chaos, ChaosApi};
/// # let engine = Chaos::new().engine();
/// let api = ChaosApi::new(&engine).path("/chaos");
/// ```
///
/// By default there is no token, and no origin is allowed.
#[derive(Clone)]
#[must_use = "the API does nothing until its routes are added to an app"]
pub struct ChaosApi {
    engine: ChaosEngine,
    base: String,
    token: Option<Token>,
    origins: Origins,
}

impl ChaosApi {
    /// Creates an API at `/chaos`, without a token.
    pub fn new(engine: &ChaosEngine) -> Self {
        Self {
            engine: engine.clone(),
            base: "/chaos".to_owned(),
            token: None,
            origins: Origins::default(),
        }
    }

    /// Sets the path of the API. At `/` the API needs a server of its own, because no route is then
    /// exempt from chaos.
    pub fn path(self, path: impl AsRef<str>) -> Self {
        let path = path.as_ref().trim_matches('/');
        let base = if path.is_empty() {
            String::new()
        } else {
            format!("/{path}")
        };
        Self { base, ..self }
    }

    /// Requires a token: `Authorization: Bearer <token>` (RFC 6750), compared in constant time.
    /// With an empty token, every request is refused.
    pub fn token(self, token: impl AsRef<[u8]>) -> Self {
        Self {
            token: Some(Token::new(token.as_ref())),
            ..self
        }
    }

    /// Allows pages of an origin, as browsers write it: `https://ops.example:8443`, without a final
    /// slash. Its requests are answered with CORS headers; without an allowed origin, CORS is off.
    /// Wildcards are not supported.
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.allow(origin.into());
        self
    }

    /// Builds the routes, to [merge](Router::merge) or [nest](Router::nest) into an app.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use tower_traffic::chaos::{Chaos, ChaosApi};
    ///
    /// let chaos = Chaos::new();
    /// let engine = chaos.engine();
    /// let app: Router = Router::new()
    ///     .route("/users/{id}", get(async || "bob"))
    ///     .layer(chaos)
    ///     .merge(ChaosApi::new(&engine).path("/admin/chaos").router());
    /// ```
    ///
    /// # Panics
    /// If the path is not a valid axum route, for example because of an unclosed `{`.
    pub fn router<S>(self) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        self.engine.exempt_control(&self.base);
        let mut guarded = routes::guarded(&self.base, self.token.is_some())
            .route_layer(middleware::from_fn_with_state(
                Arc::new(self.origins.clone()),
                origin::check,
            ))
            .route_layer(middleware::from_fn_with_state(
                self.token.map(Arc::new),
                guard::check,
            ));
        if !self.origins.is_empty() {
            guarded = guarded.route_layer(cors(self.origins));
        }
        guarded
            .merge(page::route(&self.base))
            .with_state(self.engine)
    }

    /// Adds a [`Chaos`] layer of this engine to the app, and the routes of the API next to it.
    pub fn beside<S>(self, app: Router<S>) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let app = app.layer(Chaos::with_engine(&self.engine));
        // In the other order, axum's own 404 would replace the app's, and would not be under chaos.
        self.router().merge(app)
    }
}

fn cors(origins: Origins) -> CorsLayer {
    use http::{
        Method,
        header::{AUTHORIZATION, CONTENT_TYPE},
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| {
            origins.contains(origin)
        }))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE])
}

/// Formats the API without its token.
impl fmt::Debug for ChaosApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChaosApi")
            .field("engine", &self.engine)
            .field("path", &self.base)
            .field("has_token", &self.token.is_some())
            .field("origins", &self.origins)
            .finish()
    }
}
