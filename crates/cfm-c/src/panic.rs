//! What a panic does on bare metal: it stops. Nothing is unwound and nothing is printed, as there is no place for it; a
//! debugger finds the program here, and a watchdog restarts it.

use core::panic::PanicInfo;
use core::sync::atomic::{Ordering, compiler_fence};

#[panic_handler]
fn stop(_: &PanicInfo<'_>) -> ! {
    loop {
        // Not an empty loop to the compiler.
        compiler_fence(Ordering::SeqCst);
    }
}
