//! The control API: chaos is switched over HTTP.

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

/// Switches an [engine](ChaosEngine) over HTTP, from beside the app.
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
/// The app is now under chaos, which is off until somebody asks for it:
///
/// ```sh
/// curl -H 'Authorization: Bearer s3cret' localhost:8000/chaos/activate -d '{
///     "type": "trigger",
///     "trigger": {"type": "percentage", "percentage": 10},
///     "behaviour": {"type": "status", "status": 503}
/// }'
/// ```
///
/// or in a browser at `/chaos/ui`. In place of [`beside`](Self::beside), [`router`](Self::router) is for
/// those who put the layers around their app themselves.
///
/// # Routes
///
/// | route | does |
/// |---|---|
/// | `GET /chaos` | describes these routes and the documents that they take, in `OpenAPI` 3.1 |
/// | `GET /chaos/status` | says what is applied |
/// | `POST /chaos/activate` | switches on what was there; with a document, that instead |
/// | `POST /chaos/activate/new` | replaces what was there by a document, and switches it on |
/// | `POST /chaos/deactivate` | switches it off |
/// | `POST /chaos/toggle` | switches it off if it is on, and on if it is off |
/// | `GET /chaos/state` | has all there is to know: the document, the counters, when it expires |
/// | `GET /chaos/decisions` | has [what was decided](ChaosEngine::decisions) |
/// | `POST /chaos/activate/again` | does [that again](ChaosEngine::enable_again): an array of decisions, of at most 16 MiB |
/// | `GET /chaos/ui` | is a page to do all this by hand |
///
/// Those up to `toggle` are http4k's, and answer as there: `{"chaos":"<text>"}`, `none` while it is off.
/// A document is JSON of at most 1 MiB, as [`Stage`](super::Stage) reads it, whatever its media type is
/// said to be. One that is bad changes nothing: 400, and `{"error":"<reason>","path":"$.trigger"}`.
///
/// # Who may
///
/// With a [token](Self::token) everything but the page asks for it: 401 comes before any other refusal.
/// The page has nothing in it that is secret, and asks for the token itself. Without a token everybody
/// may who gets through to it.
///
/// Pages of other sites may not, as they could otherwise switch on chaos in what runs on the same
/// machine as the browser: a POST that a browser marks as coming from elsewhere (`Sec-Fetch-Site`, or
/// an `Origin` that is not the host) gets a 403, unless [this origin is allowed](Self::allow_origin). A
/// site that points its own name at your machine (DNS rebinding) is not seen by that; a token helps.
///
/// # Never under its own chaos
///
/// The engine knows where its control APIs are, and does nothing to requests for them, nor counts
/// them, wherever a [`Chaos`] with this engine stands: around the app, around both, or around a router
/// under which both are nested. What it goes by is the route, or where axum has not yet found it the
/// path: below the [path](Self::path) of the API, or ending in one of its routes. So a path of the app's
/// own that looks like `/any/chaos/status` would be spared, too.
///
/// # Everything that can be set, at its default
///
/// ```
/// # use tower_traffic::chaos::{Chaos, ChaosApi};
/// # let engine = Chaos::new().engine();
/// let api = ChaosApi::new(&engine).path("/chaos");
/// ```
///
/// There is no token, and no origin is allowed.
#[derive(Clone)]
pub struct ChaosApi {
    engine: ChaosEngine,
    base: String,
    token: Option<Token>,
    origins: Origins,
}

impl ChaosApi {
    /// At `/chaos`, for everybody.
    pub fn new(engine: &ChaosEngine) -> Self {
        Self {
            engine: engine.clone(),
            base: "/chaos".to_owned(),
            token: None,
            origins: Origins::default(),
        }
    }

    /// Below this path. At `/` it needs a server of its own: nothing there is spared from chaos.
    pub fn path(self, path: impl AsRef<str>) -> Self {
        let path = path.as_ref().trim_matches('/');
        let base = if path.is_empty() {
            String::new()
        } else {
            format!("/{path}")
        };
        Self { base, ..self }
    }

    /// Only for those who have this token: `Authorization: Bearer <token>` (RFC 6750). It is compared
    /// in constant time. Nobody can have an empty one.
    pub fn token(self, token: impl AsRef<[u8]>) -> Self {
        Self {
            token: Some(Token::new(token.as_ref())),
            ..self
        }
    }

    /// Also for pages of this origin, as browsers say it: `https://ops.example:8443`, without a slash at
    /// the end. It is answered as CORS has it; without an origin CORS is off. There is no wildcard.
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.allow(origin.into());
        self
    }

    /// The routes, to be [merged](Router::merge) or [nested](Router::nest).
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
    /// If axum takes the path for no route: one with an opened `{`, for instance.
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
        if !self.origins.are_none() {
            guarded = guarded.route_layer(cors(self.origins));
        }
        guarded
            .merge(page::route(&self.base))
            .with_state(self.engine)
    }

    /// The app under [`Chaos`] of this engine, and beside it these routes, which are not.
    pub fn beside<S>(self, app: Router<S>) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let app = app.layer(Chaos::with_engine(&self.engine));
        // The other way round axum answers for what has no route, which is not under chaos.
        self.router().merge(app)
    }
}

fn cors(origins: Origins) -> CorsLayer {
    use http::{
        Method,
        header::{AUTHORIZATION, CONTENT_TYPE},
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| origins.has(origin)))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE])
}

/// Without the token.
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
