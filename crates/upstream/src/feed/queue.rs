//! What waits for one follower to be read: each change at most once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use mcp::Message;

use super::change::{Change, Subject};
use super::interest::Interest;

/// Resources below the wanted ones whose changes may wait, each told by its own URI. Beyond it the wanted
/// one that they lie below is said to have changed.
const BELOW: usize = 256;

/// Bytes of the URI of such a resource.
const LONGEST_BELOW: usize = 4 * 1024;

/// Changes in the order in which they were first told. It holds what is honoured and [`BELOW`] more at most.
#[derive(Default)]
pub(super) struct Queue {
    order: VecDeque<Subject>,
    messages: HashMap<Subject, Message>,
    below: usize,
}

impl Queue {
    /// Takes a change if it is among what is honoured; true if it has to be read. Of one that waits already
    /// the latest word counts.
    pub(super) fn push(&mut self, change: &Change, honoured: &Interest) -> bool {
        if !change.subject.is_in(honoured) {
            return false;
        }
        if let Some(waiting) = self.messages.get_mut(&change.subject) {
            waiting.clone_from(&change.message);
            return true;
        }
        let below = is_below(&change.subject, honoured);
        if let Subject::Resource(uri) = &change.subject
            && below
            && (self.below >= BELOW || uri.len() > LONGEST_BELOW)
        {
            let wanted = honoured.ancestor(uri).map(Arc::from);
            let wanted = wanted.map(|uri| Change::told_by_us(Subject::Resource(uri)));
            // It is honoured itself, so this ends here.
            return wanted.is_some_and(|wanted| self.push(&wanted, honoured));
        }
        self.below += usize::from(below);
        self.order.push_back(change.subject.clone());
        self.messages
            .insert(change.subject.clone(), change.message.clone());
        true
    }

    /// The next change to be read.
    pub(super) fn pop(&mut self, honoured: &Interest) -> Option<Message> {
        let subject = self.order.pop_front()?;
        self.below = self
            .below
            .saturating_sub(usize::from(is_below(&subject, honoured)));
        if self.order.is_empty() {
            self.order.shrink_to_fit();
        }
        self.messages.remove(&subject)
    }

    /// Something else is honoured from now on: what waits and is not among it is dropped.
    pub(super) fn restrict(&mut self, honoured: &Interest) {
        self.order.retain(|subject| subject.is_in(honoured));
        self.messages.retain(|subject, _| subject.is_in(honoured));
        let below = self.order.iter().filter(|subject| is_below(subject, honoured));
        self.below = below.count();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }
}

/// Whether this is a resource that lies below a wanted one and is not wanted itself.
fn is_below(subject: &Subject, honoured: &Interest) -> bool {
    match subject {
        Subject::Tools | Subject::Prompts | Subject::Resources => false,
        Subject::Resource(uri) => !honoured.uris.contains(&**uri),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn updated(uri: &str) -> Change {
        Change::told_by_us(Subject::Resource(uri.into()))
    }

    fn honoured() -> Interest {
        Interest {
            tools: true,
            uris: ["a://1".into(), "a://2".into()].into(),
            ..Interest::default()
        }
    }

    fn read(queue: &mut Queue, honoured: &Interest) -> Vec<String> {
        std::iter::from_fn(|| queue.pop(honoured))
            .map(|message| String::from_utf8(message.bytes().to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn equal_changes_wait_once_in_the_order_they_came() {
        let (mut queue, honoured) = (Queue::default(), honoured());
        let tools = Change::told_by_us(Subject::Tools);
        for change in [
            &tools,
            &updated("a://1"),
            &tools,
            &updated("a://1/x"),
            &updated("a://1"),
        ] {
            assert!(queue.push(change, &honoured));
        }
        let all = read(&mut queue, &honoured);
        assert_eq!(all.len(), 3);
        assert!(all[0].contains("tools") && all[1].contains("\"a://1\"") && all[2].contains("a://1/x"));
        assert!(queue.push(&tools, &honoured), "a change after that is another");
        assert_eq!(read(&mut queue, &honoured).len(), 1);
    }

    #[test]
    fn what_is_not_honoured_never_waits() {
        let (mut queue, honoured) = (Queue::default(), honoured());
        assert!(!queue.push(&Change::told_by_us(Subject::Prompts), &honoured));
        assert!(!queue.push(&updated("a://3"), &honoured));
        assert!(queue.push(&updated("a://2"), &honoured));
        queue.restrict(&Interest::default());
        assert_eq!(queue.len(), 0);
        assert!(queue.pop(&honoured).is_none());
    }

    #[test]
    fn a_flood_below_a_wanted_resource_is_told_as_its_change() {
        let (mut queue, honoured) = (Queue::default(), honoured());
        for number in 0..10 * BELOW {
            assert!(queue.push(&updated(&format!("a://1/{number}")), &honoured));
        }
        assert_eq!(queue.len(), BELOW + 1);
        let long = format!("a://2/{}", "x".repeat(LONGEST_BELOW));
        assert!(queue.push(&updated(&long), &honoured));
        let all = read(&mut queue, &honoured);
        assert_eq!(all.len(), BELOW + 2);
        assert!(all[BELOW + 1].contains("\"a://2\""));
        assert!(queue.push(&updated("a://1/0"), &honoured));
        assert_eq!(queue.below, 1);
    }
}
