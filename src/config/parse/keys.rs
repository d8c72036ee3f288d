//! Keys of one map: duplicates are reported with both places, `<<` is resolved.
//!
//! In: the entries of a map in their order. Out: its entries, each key once. Never add here: typing.

use super::{Builder, Fault, MAX_NODES, Step};
use crate::config::problem::{ProblemKind, quoted};
use crate::config::tree::{Body, Entry};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Duplicate and merge keys of one map.
impl<'t> Builder<'t> {
    /// Reports what is defined twice, and keeps the first of each.
    pub(super) fn unique(&mut self, entries: Vec<Entry<'t>>) -> Vec<Entry<'t>> {
        let mut seen: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
        let mut doubled = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            match seen.get(&*entry.key) {
                Some(&first) => doubled.push((index, first)),
                None => {
                    seen.insert(&entry.key, entry.key_span);
                }
            }
        }
        if doubled.is_empty() {
            return entries;
        }
        let mut path = self.path();
        if !path.is_empty() {
            path.push('.');
        }
        for &(index, first) in &doubled {
            let entry = &entries[index];
            self.faults.push(Fault {
                kind: ProblemKind::Duplicate,
                at: self.tree.at(entry.key_span),
                path: format!("{path}{}", entry.key),
                message: format!("{} is defined twice", quoted(&entry.key)),
                help: Some("remove or rename one of the two".to_owned()),
                first: Some(self.tree.at(first)),
            });
        }
        let again: Vec<usize> = doubled.into_iter().map(|(index, _)| index).collect();
        let kept = entries.into_iter().enumerate().filter(|(index, _)| again.binary_search(index).is_err());
        kept.map(|(_, entry)| entry).collect()
    }

    /// Resolves `<<`: what the map itself says wins, then the earlier of several sources.
    pub(super) fn merge(&mut self, mut entries: Vec<Entry<'t>>) -> Step<Vec<Entry<'t>>> {
        let Some(index) = entries.iter().position(|entry| entry.plain && entry.key == "<<") else {
            return Ok(entries);
        };
        let merge = entries.remove(index);
        let sources = match self.tree.nodes[merge.value as usize].body {
            Body::Map { .. } => vec![merge.value],
            Body::Seq { first, len } => self.tree.items[first as usize..(first + len) as usize].to_vec(),
            Body::Scalar { .. } => Vec::new(),
        };
        let mut known: BTreeMap<Cow<'t, str>, ()> =
            entries.iter().map(|entry| (entry.key.clone(), ())).collect();
        let usable = !sources.is_empty();
        for source in sources {
            let Body::Map { first, len } = self.tree.nodes[source as usize].body else {
                return Err(self.not_a_map(merge.key_span));
            };
            // Every entry that is looked at counts, taken or not: looking is what a bomb makes us do.
            self.merged += len as usize;
            if self.tree.nodes.len() + self.merged > MAX_NODES {
                return Err(Box::new(
                    self.too_large(merge.key_span, format!("more than {MAX_NODES} values")),
                ));
            }
            for entry in &self.tree.entries[first as usize..(first + len) as usize] {
                if known.insert(entry.key.clone(), ()).is_none() {
                    entries.push(entry.clone());
                }
            }
        }
        if usable { Ok(entries) } else { Err(self.not_a_map(merge.key_span)) }
    }

    fn not_a_map(&self, span: (u32, u32)) -> Box<Fault> {
        self.fault(
            ProblemKind::Syntax,
            span,
            "`<<` merges maps only",
            Some("write `<<: *name` for an anchor on a map"),
        )
    }
}
