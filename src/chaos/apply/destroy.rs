//! Faults of the whole process.

use crate::chaos::model::behavior::Destruction;

/// Applies the faults that precede the call of the inner service.
#[cfg(feature = "chaos-destructive")]
pub(in crate::chaos) fn before(destruction: Destruction) {
    match destruction {
        Destruction::Memory => {
            let mut eaten = Vec::new();
            loop {
                // Memory that is not written to is not allocated by the system.
                eaten.push(vec![1_u8; 16 << 20]);
                std::hint::black_box(&mut eaten);
            }
        }
        Destruction::Overflow => {
            std::hint::black_box(deeper(0));
        }
        Destruction::Kill => std::process::exit(1),
        Destruction::Block => {}
    }
}

#[cfg(feature = "chaos-destructive")]
#[expect(unconditional_recursion, reason = "the stack must overflow")]
fn deeper(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 64]);
    deeper(depth + 1) + room[0]
}

/// Applies the faults that follow the response of the inner service.
#[cfg(feature = "chaos-destructive")]
pub(in crate::chaos) fn after(destruction: Destruction) {
    if destruction == Destruction::Block {
        loop {
            std::thread::park();
        }
    }
}

// Without the feature, no such fault can be created.
#[cfg(not(feature = "chaos-destructive"))]
pub(in crate::chaos) fn before(_: Destruction) {}

#[cfg(not(feature = "chaos-destructive"))]
pub(in crate::chaos) fn after(_: Destruction) {}
