//! The names on a disk: as they are now, as they are durable, and what was changed in between.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use base::disk::DiskEntry;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// A file, by its number.
    File(usize),
    Folder,
}

/// A change of names.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Make(PathBuf, Node),
    Rename(PathBuf, PathBuf),
    Exchange(PathBuf, PathBuf),
    Remove(PathBuf),
    RemoveFolder(PathBuf),
}

type Tree = BTreeMap<PathBuf, Node>;

/// All names of a disk.
#[derive(Default)]
pub(super) struct Names {
    now: Tree,
    durable: Tree,
    pending: Vec<Change>,
}

impl Names {
    pub(super) fn get(&self, path: &Path) -> io::Result<Node> {
        get(&self.now, path)
    }

    pub(super) fn list(&self, folder: &Path) -> io::Result<Vec<DiskEntry>> {
        if get(&self.now, folder)? != Node::Folder {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let within = below(&self.now, folder).filter(|(path, _)| path.parent() == Some(folder));
        let entry = |(path, node): (&PathBuf, &Node)| {
            let name = path.file_name().unwrap_or_default().to_owned();
            DiskEntry { name, is_folder: *node == Node::Folder }
        };
        let mut entries: Vec<_> = within.map(entry).collect();
        entries.sort();
        Ok(entries)
    }

    /// The files that have a name.
    pub(super) fn files(&self) -> impl Iterator<Item = usize> {
        self.now.values().filter_map(|node| match node {
            Node::File(number) => Some(*number),
            Node::Folder => None,
        })
    }

    pub(super) fn change(&mut self, change: Change) -> io::Result<()> {
        apply(&mut self.now, &change)?;
        self.pending.push(change);
        Ok(())
    }

    /// Makes what was changed in `folder` durable, or everything.
    pub(super) fn sync(&mut self, folder: Option<&Path>) {
        let pending = std::mem::take(&mut self.pending);
        for change in pending {
            if folder.is_none_or(|folder| change.is_in(folder)) {
                // One whose folder is not durable itself is lost with it.
                let _ = apply(&mut self.durable, &change);
            } else {
                self.pending.push(change);
            }
        }
    }

    /// A power cut: of what was pending, each change is there or not.
    pub(super) fn survive(&mut self, chance: &mut ChaCha8Rng) {
        let kept = f64::from(chance.random_range(0..=4)) / 4.0;
        for change in std::mem::take(&mut self.pending) {
            if chance.random_bool(kept) {
                let _ = apply(&mut self.durable, &change);
            }
        }
        self.now.clone_from(&self.durable);
    }
}

impl Change {
    fn is_in(&self, folder: &Path) -> bool {
        let is = |path: &PathBuf| path.parent() == Some(folder);
        match self {
            Self::Make(path, _) | Self::Remove(path) | Self::RemoveFolder(path) => is(path),
            Self::Rename(one, other) | Self::Exchange(one, other) => is(one) || is(other),
        }
    }
}

fn get(tree: &Tree, path: &Path) -> io::Result<Node> {
    if path.parent().is_none() {
        return Ok(Node::Folder);
    }
    tree.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// What is in a folder, at any depth.
fn below<'a>(tree: &'a Tree, folder: &'a Path) -> impl Iterator<Item = (&'a PathBuf, &'a Node)> {
    let after = tree.range(folder.to_owned()..).filter(move |(path, _)| *path != folder);
    after.take_while(move |(path, _)| path.starts_with(folder))
}

fn apply(tree: &mut Tree, change: &Change) -> io::Result<()> {
    match change {
        Change::Make(path, node) => {
            has_parent(tree, path)?;
            if tree.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            tree.insert(path.clone(), *node);
        }
        Change::Rename(from, to) => {
            get(tree, from)?;
            has_parent(tree, to)?;
            if below(tree, to).next().is_some() {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            let moved = take(tree, from);
            put(tree, moved, to);
        }
        Change::Exchange(one, other) => {
            get(tree, one)?;
            get(tree, other)?;
            let (first, second) = (take(tree, one), take(tree, other));
            put(tree, first, other);
            put(tree, second, one);
        }
        Change::Remove(path) => match get(tree, path)? {
            Node::File(_) => drop(tree.remove(path)),
            Node::Folder => return Err(io::ErrorKind::IsADirectory.into()),
        },
        Change::RemoveFolder(path) => {
            get(tree, path)?;
            drop(take(tree, path));
        }
    }
    Ok(())
}

fn has_parent(tree: &Tree, path: &Path) -> io::Result<()> {
    match path.parent().map(|parent| get(tree, parent)) {
        Some(Ok(Node::Folder)) => Ok(()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Takes a node out, with what is below it; by the paths below it.
fn take(tree: &mut Tree, path: &Path) -> Vec<(PathBuf, Node)> {
    let paths: Vec<PathBuf> = below(tree, path).map(|(path, _)| path.clone()).collect();
    let own = tree.remove(path).map(|node| (PathBuf::new(), node));
    let below = paths.into_iter().filter_map(|full| {
        let node = tree.remove(&full)?;
        Some((full.strip_prefix(path).ok()?.to_owned(), node))
    });
    own.into_iter().chain(below).collect()
}

fn put(tree: &mut Tree, nodes: Vec<(PathBuf, Node)>, path: &Path) {
    for (relative, node) in nodes {
        let full = if relative.as_os_str().is_empty() { path.into() } else { path.join(relative) };
        tree.insert(full, node);
    }
}
