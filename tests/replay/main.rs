//! `ReplayCache`, `ReplayStream`, `Responder` and `Resend`.

mod cache;
mod resend;
mod stream;
