//! What must be there before it can be decided.

/// Of a request, beside its head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) body: bool,
    pub(super) response: bool,
}

impl Needs {
    pub(super) const ALL: Self = Self {
        body: true,
        response: true,
    };

    /// Both.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            body: self.body || other.body,
            response: self.response || other.response,
        }
    }

    /// Whether all of it is there.
    #[inline]
    pub(super) fn are_in(self, known: Self) -> bool {
        (known.body || !self.body) && (known.response || !self.response)
    }
}
