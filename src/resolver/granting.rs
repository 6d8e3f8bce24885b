//! Has the kernel open addresses, on a thread of its own: it may have to wait while rules are loaded,
//! and nobody else's questions wait with it.

use super::decision::View;
use crate::firewall::grants::{Grant, GrantError};
use crate::policy::ruleset::{Ruleset, Version};
use lru::LruCache;
use std::cell::RefCell;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::{Arc, Weak, mpsc};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What opens addresses: [`crate::firewall::grants::Grants::add`], or a recorder in tests.
pub type Opener = Box<dyn FnMut(&Ruleset, &Version, &[Grant]) -> Result<(), GrantError> + Send>;

/// Grants that are remembered as still good.
const REMEMBERED_MAX: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// What one grant is for, whatever its name and time.
pub(super) type Place = (usize, String, IpAddr);

struct Order {
    view: Arc<View>,
    grants: Vec<Grant>,
    done: oneshot::Sender<Result<(), GrantError>>,
}

/// The thread, and what it did lately.
pub(super) struct Granting {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
    remembered: RefCell<Remembered>,
}

/// Until when the kernel keeps what was granted, and the view that it was granted for.
struct Remembered {
    under: Weak<View>,
    until: LruCache<Place, Instant>,
}

impl Remembered {
    fn is_under(&self, view: &Arc<View>) -> bool {
        // The weak reference keeps the address from being another's, and no old policy in memory.
        std::ptr::eq(self.under.as_ptr(), Arc::as_ptr(view))
    }
}

impl Granting {
    /// Starts the thread.
    pub fn start(mut opener: Opener) -> std::io::Result<Rc<Self>> {
        let (orders, queue) = mpsc::channel::<Order>();
        let thread = Builder::new().name("rcc-grants".to_owned()).spawn(move || {
            for order in queue {
                // Whoever gave up does not need the answer.
                let _ = order.done.send(opener(&order.view.ruleset, &order.view.version, &order.grants));
            }
        })?;
        let remembered = RefCell::new(Remembered { under: Weak::new(), until: LruCache::new(REMEMBERED_MAX) });
        Ok(Rc::new(Self { orders: Some(orders), thread: Some(thread), remembered }))
    }

    /// Those of the grants that the kernel has to be asked for: not those that it keeps for longer
    /// than the answer is good for. `slack` is how much less than their lifetime may be left.
    pub fn missing(&self, view: &Arc<View>, grants: &[Grant], slack: Duration, now: Instant) -> Vec<Grant> {
        let mut remembered = self.remembered.borrow_mut();
        if !remembered.is_under(view) {
            remembered.until.clear();
            remembered.under = Arc::downgrade(view);
        }
        let until = &mut remembered.until;
        let good = |until: &Instant, grant: &Grant| *until > now && *until + slack >= now + grant.lifetime;
        grants
            .iter()
            .filter(|grant| !until.get(&place(grant)).is_some_and(|until| good(until, grant)))
            .cloned()
            .collect()
    }

    /// Returns when the kernel has all of them.
    pub async fn grant(&self, view: &Arc<View>, grants: Vec<Grant>) -> Result<(), GrantError> {
        let (done, result) = oneshot::channel();
        let kept: Vec<(Place, Duration)> = grants.iter().map(|grant| (place(grant), grant.lifetime)).collect();
        let before = Instant::now();
        let order = Order { view: Arc::clone(view), grants, done };
        let gone = || GrantError::Kernel { attempt: "open", source: std::io::Error::other("the thread has ended") };
        self.orders.as_ref().and_then(|orders| orders.send(order).ok()).ok_or_else(gone)?;
        result.await.unwrap_or_else(|_| Err(gone()))?;
        let mut remembered = self.remembered.borrow_mut();
        if remembered.is_under(view) {
            for (place, lifetime) in kept {
                remembered.until.put(place, before + lifetime);
            }
        }
        Ok(())
    }

    /// Forgets what was granted: the kernel may have lost it.
    pub fn forget(&self) {
        self.remembered.borrow_mut().until.clear();
    }
}

impl Drop for Granting {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // It ended by a panic, or by itself.
            let _ = thread.join();
        }
    }
}

pub(super) fn place(grant: &Grant) -> Place {
    (grant.profile, format!("{:?} {}", grant.kind, grant.name), grant.address)
}
