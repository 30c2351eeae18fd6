//! `ProxyHost` and `Forward`: what makes a proxy of a server.
