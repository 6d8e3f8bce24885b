//! Queues that take turns, so that a flood from one sandbox delays nobody else.

use std::collections::{HashMap, VecDeque};

/// One bounded queue for each identity, served in turn.
#[derive(Debug)]
pub struct Fair<T> {
    queues: HashMap<u32, VecDeque<T>>,
    turns: VecDeque<u32>,
    each: usize,
}

impl<T> Fair<T> {
    /// `each` items of one identity wait at most.
    pub fn new(each: usize) -> Self {
        Self { queues: HashMap::new(), turns: VecDeque::new(), each }
    }

    /// Queues an item; gives it back if this identity has too many waiting.
    pub fn push(&mut self, identity: u32, item: T) -> Result<(), T> {
        let queue = self.queues.entry(identity).or_default();
        if queue.len() >= self.each {
            return Err(item);
        }
        if queue.is_empty() {
            self.turns.push_back(identity);
        }
        queue.push_back(item);
        Ok(())
    }

    /// The next item: the oldest of the identity whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        let identity = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&identity)?;
        let item = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&identity);
        } else {
            self.turns.push_back(identity);
        }
        item
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quiet_are_served_before_the_rest_of_a_flood() {
        let mut fair = Fair::new(4);
        let taken = (0..100).filter(|number| fair.push(1, ("flood", *number)).is_ok()).count();
        assert_eq!(taken, 4);
        fair.push(2, ("quiet", 0)).unwrap();
        fair.push(3, ("other", 0)).unwrap();
        let order: Vec<&str> = std::iter::from_fn(|| fair.pop()).map(|(who, _)| who).collect();
        assert_eq!(order, ["flood", "quiet", "other", "flood", "flood", "flood"]);
        assert!(fair.is_empty() && fair.queues.is_empty());
    }
}
