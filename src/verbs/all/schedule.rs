//! Who builds when: at most so many images at a time, and none that needs what another is just
//! making.

/// What several images may be based on: a name that is the same for all of them.
pub type Base = String;

/// The order in which images are built. Images are known by their number.
#[derive(Debug)]
pub struct Schedule {
    jobs: usize,
    images: Vec<Image>,
    /// What is complete, whoever made it.
    ready: Vec<Base>,
}

#[derive(Debug)]
struct Image {
    bases: Vec<Base>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Ended,
}

impl Schedule {
    /// For images with these bases, which are made in that order; at most `jobs` at a time.
    #[must_use]
    pub fn new(jobs: usize, images: Vec<Vec<Base>>) -> Self {
        Self {
            jobs: jobs.max(1),
            images: images
                .into_iter()
                .map(|bases| Image {
                    bases,
                    state: State::Waiting,
                })
                .collect(),
            ready: Vec::new(),
        }
    }

    /// An image that may begin now; it counts as running from here on. Those that most others wait
    /// for come first.
    pub fn next(&mut self) -> Option<usize> {
        let running = self.images.iter().filter(|i| i.state == State::Running);
        if running.count() >= self.jobs {
            return None;
        }
        let number = (0..self.images.len())
            .filter(|number| self.is_waiting(*number) && self.builder(*number).is_none())
            // Of equals, the first.
            .max_by_key(|number| (self.dependents(*number), usize::MAX - number))?;
        self.images.get_mut(number)?.state = State::Running;
        Some(number)
    }

    /// Images that cannot begin before another one has made a base of theirs, with that other one.
    #[must_use]
    pub fn held_up(&self) -> Vec<(usize, usize)> {
        (0..self.images.len())
            .filter(|number| self.is_waiting(*number))
            .filter_map(|number| Some((number, self.builder(number)?)))
            .collect()
    }

    /// A base of an image is complete, and nobody has to wait for it any more.
    pub fn base_ready(&mut self, base: &Base) {
        if !self.ready.contains(base) {
            self.ready.push(base.clone());
        }
    }

    /// An image's build has ended. If it failed before its bases were complete, others make them.
    pub fn ended(&mut self, number: usize) {
        if let Some(image) = self.images.get_mut(number) {
            image.state = State::Ended;
        }
    }

    fn is_waiting(&self, number: usize) -> bool {
        self.images
            .get(number)
            .is_some_and(|image| image.state == State::Waiting)
    }

    /// What an image needs that is not there.
    fn missing(&self, number: usize) -> impl Iterator<Item = &Base> {
        let bases = self.images.get(number).map(|image| image.bases.iter());
        bases
            .into_iter()
            .flatten()
            .filter(|base| !self.ready.contains(base))
    }

    /// The running image that makes something which this one needs.
    fn builder(&self, number: usize) -> Option<usize> {
        self.missing(number).find_map(|base| {
            self.images
                .iter()
                .position(|image| image.state == State::Running && image.bases.contains(base))
        })
    }

    /// How many others wait for something that this image would make.
    fn dependents(&self, number: usize) -> usize {
        let missing: Vec<&Base> = self.missing(number).collect();
        self.images
            .iter()
            .enumerate()
            .filter(|(other, image)| {
                *other != number
                    && image.state == State::Waiting
                    && image.bases.iter().any(|base| missing.contains(&base))
            })
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(jobs: usize, images: &[&str]) -> Schedule {
        let bases = |text: &&str| text.chars().map(String::from).collect();
        Schedule::new(jobs, images.iter().map(bases).collect())
    }

    fn begun(schedule: &mut Schedule) -> Vec<usize> {
        std::iter::from_fn(|| schedule.next()).collect()
    }

    #[test]
    fn at_most_so_many_at_a_time() {
        let mut schedule = schedule(2, &["", "", ""]);
        assert_eq!(begun(&mut schedule), [0, 1]);
        schedule.ended(0);
        assert_eq!(begun(&mut schedule), [2]);
        schedule.ended(1);
        schedule.ended(2);
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn a_base_is_made_once() {
        let mut schedule = schedule(4, &["a", "a", "b", "a"]);
        assert_eq!(begun(&mut schedule), [0, 2]);
        assert_eq!(schedule.held_up(), [(1, 0), (3, 0)]);
        schedule.base_ready(&"a".into());
        assert_eq!(schedule.held_up(), []);
        assert_eq!(begun(&mut schedule), [1, 3]);
    }

    #[test]
    fn what_others_wait_for_comes_first() {
        let mut schedule = schedule(1, &["", "b", "a", "a", "b", "a"]);
        assert_eq!(begun(&mut schedule), [2]);
        schedule.base_ready(&"a".into());
        schedule.ended(2);
        assert_eq!(begun(&mut schedule), [1]);
    }

    #[test]
    fn a_failed_builder_is_replaced_by_one_other() {
        let mut schedule = schedule(4, &["a", "a", "a"]);
        assert_eq!(begun(&mut schedule), [0]);
        schedule.ended(0);
        assert_eq!(begun(&mut schedule), [1]);
        assert_eq!(schedule.held_up(), [(2, 1)]);
    }

    #[test]
    fn bases_upon_bases() {
        // Two share the first only; the third both with the first.
        let mut schedule = schedule(4, &["ab", "ac", "ab"]);
        assert_eq!(begun(&mut schedule), [0]);
        schedule.base_ready(&"a".into());
        assert_eq!(begun(&mut schedule), [1]);
        assert_eq!(schedule.held_up(), [(2, 0)]);
        schedule.base_ready(&"b".into());
        assert_eq!(begun(&mut schedule), [2]);
    }
}
