//! Cross-origin requests of the front end's pages.

use std::{sync::Arc, time::Duration};

use http::{
    HeaderName, Method,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{front::REQUEST_ID_HEADER, origins::Origins};

/// Time for which a browser may cache the response to a preflight.
const PREFLIGHT_IS_KEPT_FOR: Duration = Duration::from_mins(10);

/// Returns the layer that lets pages of trusted origins call with credentials, and answers their preflights.
pub(crate) fn layer(origins: Arc<Origins>) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| origins.trusts(origin)))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([CONTENT_TYPE, REQUEST_ID_HEADER])
        .expose_headers([REQUEST_ID_HEADER, RETRY_AFTER, HeaderName::from_static("x-retry-after")])
        .max_age(PREFLIGHT_IS_KEPT_FOR)
}
