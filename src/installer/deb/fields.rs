//! The fields of a control file (deb-control(5)): names, values, and lines that continue them.

use std::collections::HashSet;

use crate::tree::archive::Fault;

/// One paragraph of fields, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads one paragraph. A value keeps its further lines, each with the white space it begins
    /// with.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut fields: Vec<(String, String)> = Vec::new();
        let mut names = HashSet::new();
        let text = text.trim_end_matches('\n');
        for line in text.trim_start_matches('\n').split('\n') {
            if line.trim().is_empty() {
                return Err(Fault::new("its control file has more than one paragraph"));
            }
            if line.starts_with([' ', '\t']) {
                let Some((_, value)) = fields.last_mut() else {
                    return Err(Fault::new(
                        "its control file begins in the middle of a field",
                    ));
                };
                value.push('\n');
                value.push_str(line);
                continue;
            }
            let (name, value) = line
                .split_once(':')
                .filter(|(name, _)| {
                    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':')
                })
                .ok_or_else(|| Fault::new("its control file has a line without a field"))?;
            if !names.insert(name.to_ascii_lowercase()) {
                return Err(Fault::new(format!(
                    "its control file has the field {name} twice"
                )));
            }
            fields.push((name.to_owned(), value.trim_start().to_owned()));
        }
        for (_, value) in &mut fields {
            value.truncate(value.trim_end().len());
        }
        Ok(Self(fields))
    }

    /// A field's value; names are the same in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_fields_with_their_further_lines() {
        let fields = Fields::parse(
            "Package: x\nDepends: a,\n b (>= 1)\nDescription: short \n long\n .\n more \n\n",
        )
        .unwrap();
        assert_eq!(fields.get("package"), Some("x"));
        assert_eq!(fields.get("Depends"), Some("a,\n b (>= 1)"));
        assert_eq!(fields.get("Description"), Some("short \n long\n .\n more"));
        assert_eq!(fields.get("Version"), None);
        assert_eq!(fields.iter().count(), 3);
    }

    #[test]
    fn refuses_what_dpkg_would_read_differently() {
        for (text, expected) in [
            ("Package: x\n\nPackage: y\n", "more than one"),
            (" x\nPackage: y\n", "in the middle"),
            ("Package\n", "without a field"),
            ("Package: x\nPACKAGE: y\n", "twice"),
        ] {
            let problem = Fields::parse(text).unwrap_err().problem;
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
