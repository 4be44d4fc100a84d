//! Which of the chosen packages need each other (deb-control(5), "Depends").
//!
//! apt has chosen a set in which every relation holds, so names are enough here: what matters is
//! which package of the set fulfils a relation.

use std::collections::{BTreeSet, HashMap};

use super::control::Package;

/// The alternatives of each relation in a field, without versions and architectures.
fn groups(value: &str) -> impl Iterator<Item = Vec<&str>> {
    value.split(',').filter_map(|group| {
        let names: Vec<&str> = group
            .split('|')
            .filter_map(|one| {
                let word = one.split_whitespace().next()?;
                let name = word.split(['(', '[', '<']).next()?;
                Some(name.split(':').next().unwrap_or(name)).filter(|name| !name.is_empty())
            })
            .collect();
        (!names.is_empty()).then_some(names)
    })
}

/// Who fulfils what.
pub(super) struct Relations {
    /// Package numbers by name, their own and those they provide.
    real: HashMap<String, usize>,
    provided: HashMap<String, Vec<usize>>,
    pre_depends: Vec<Vec<usize>>,
    depends: Vec<Vec<usize>>,
}

impl Relations {
    pub fn of(packages: &[Package]) -> Self {
        let mut relations = Self {
            real: HashMap::new(),
            provided: HashMap::new(),
            pre_depends: Vec::new(),
            depends: Vec::new(),
        };
        for (number, package) in packages.iter().enumerate() {
            relations.real.insert(package.name.clone(), number);
            for names in groups(package.fields.get("Provides").unwrap_or_default()) {
                for name in names {
                    let provided = relations.provided.entry(name.to_owned()).or_default();
                    provided.push(number);
                }
            }
        }
        for package in packages {
            let field = |name| relations.fulfilled(package.fields.get(name).unwrap_or_default());
            let (pre_depends, depends) = (field("Pre-Depends"), field("Depends"));
            relations.pre_depends.push(pre_depends);
            relations.depends.push(depends);
        }
        relations
    }

    /// The packages that fulfil each relation of a field: of alternatives, the first that is there
    /// by its own name.
    fn fulfilled(&self, value: &str) -> Vec<usize> {
        groups(value)
            .filter_map(|names| {
                let real = names.iter().find_map(|name| self.real.get(*name));
                real.or_else(|| {
                    let mut provided = names.iter().filter_map(|name| self.provided.get(*name));
                    provided.find_map(|numbers| numbers.first())
                })
            })
            .copied()
            .collect()
    }

    /// Everything that these packages need, themselves included.
    pub fn closure(&self, packages: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut todo: Vec<usize> = packages.into_iter().collect();
        while let Some(number) = todo.pop() {
            if found.insert(number) {
                todo.extend(&self.pre_depends[number]);
                todo.extend(&self.depends[number]);
            }
        }
        found
    }

    /// What must be configured before a package is unpacked.
    pub fn pre_depends(&self, number: usize) -> &[usize] {
        &self.pre_depends[number]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_out_of_relations() {
        let all: Vec<Vec<&str>> =
            groups("libc6 (>= 2.36),awk|mawk:any , perl-base[amd64], , x <!nocheck>").collect();
        assert_eq!(
            all,
            [
                vec!["libc6"],
                vec!["awk", "mawk"],
                vec!["perl-base"],
                vec!["x"]
            ]
        );
    }
}
