//! What hurts the whole process.

use crate::chaos::model::behavior::Destruction;

/// What happens before the service inside is asked.
#[cfg(feature = "chaos-destructive")]
pub(in crate::chaos) fn before(destruction: Destruction) {
    match destruction {
        Destruction::Memory => {
            let mut eaten = Vec::new();
            loop {
                // Written to, or the system only promises it.
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
#[expect(unconditional_recursion, reason = "that is what it is for")]
fn deeper(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 64]);
    deeper(depth + 1) + room[0]
}

/// What happens when it has answered.
#[cfg(feature = "chaos-destructive")]
pub(in crate::chaos) fn after(destruction: Destruction) {
    if destruction == Destruction::Block {
        loop {
            std::thread::park();
        }
    }
}

/// Without the feature nobody can make one.
#[cfg(not(feature = "chaos-destructive"))]
pub(in crate::chaos) fn before(_: Destruction) {}

#[cfg(not(feature = "chaos-destructive"))]
pub(in crate::chaos) fn after(_: Destruction) {}
