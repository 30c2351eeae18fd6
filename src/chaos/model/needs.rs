//! What must be there before it can be decided.

/// Of a request, beside its head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::chaos) struct Needs {
    pub(in crate::chaos) body: bool,
    pub(in crate::chaos) response: bool,
}

impl Needs {
    pub(in crate::chaos) const ALL: Self = Self {
        body: true,
        response: true,
    };

    /// Both.
    pub(in crate::chaos) fn and(self, other: Self) -> Self {
        Self {
            body: self.body || other.body,
            response: self.response || other.response,
        }
    }

    /// Whether all of it is there.
    #[inline]
    pub(in crate::chaos) fn are_in(self, known: Self) -> bool {
        (known.body || !self.body) && (known.response || !self.response)
    }
}
