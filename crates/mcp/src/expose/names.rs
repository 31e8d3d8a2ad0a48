//! All names of one kind at an endpoint of many servers, and which server's is meant by each.
//!
//! What is made to be listed and what is looked up are the same table: a name resolves to what it was listed for.
//! Nothing is stored that can be computed. For each name there are ten bytes beside its own, and eight more if it
//! had to be changed.

use super::Alias;
use super::name::{self, Form, Style};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::ops::Range;

/// The tools, or the prompts, of the servers of an endpoint.
///
/// A name depends on the names of its own server and on the aliases there are, never on an order, but for those that
/// a server says twice (the first counts) or makes collide with a hash. With [`Style::Bare`] it also depends on
/// whether another server has it; so only with that a new server can change a name of those that were there.
#[derive(Debug)]
pub struct Names {
    servers: Box<[Server]>,
    /// What the servers say, one behind the other.
    text: Box<str>,
    /// Where each ends there, and the next begins.
    ends: Box<[u32]>,
    forms: Box<[Form]>,
    /// All that are not left out, by what their server says; of equal ones by server.
    sorted: Box<[u32]>,
    /// Those that were changed, by their digits.
    hashed: Box<[(u32, u32)]>,
}

#[derive(Debug)]
struct Server {
    alias: Alias,
    /// Its first name, by number among all.
    first: u32,
}

/// Whose name it is, and which of them: both by place in what [`Names::new`] was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Named {
    /// The place of the server.
    pub server: usize,
    /// The place of the name among those of the server.
    pub place: usize,
}

/// Why a name leads to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// Nobody has it.
    Unknown,
    /// Several have it, and which one is meant was not said.
    Ambiguous,
}

impl Names {
    /// The names of these servers, whose aliases differ from one another; of each all its names, in its order.
    ///
    /// What a server says twice has a name once. Names are left out too beyond the first 4 GiB of them all, and
    /// where a server says in a hundred names what eight hashes of another can be.
    pub fn new<'n, N>(style: Style, servers: impl IntoIterator<Item = (Alias, N)>) -> Names
    where
        N: IntoIterator<Item = &'n str>,
    {
        let mut text = String::new();
        let mut ends = Vec::new();
        let mut found = Vec::new();
        let mut full = false;
        for (alias, names) in servers {
            let first = narrow(ends.len());
            found.push(Server { alias, first });
            for name in names {
                // Behind one that is left out for this, all are: places stay what they are.
                full |= u32::try_from(text.len() + name.len()).is_err();
                if full {
                    break;
                }
                text += name;
                ends.push(narrow(text.len()));
            }
        }
        let mut names = Names {
            servers: found.into(),
            text: text.into(),
            forms: vec![Form::LeftOut; ends.len()].into(),
            ends: ends.into(),
            sorted: Box::default(),
            hashed: Box::default(),
        };
        names.sort();
        names.shape(style);
        names.hash();
        names
    }

    /// How many there are, also of those that were left out.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// What it is called at the endpoint. `None` if it was left out, or is not there.
    pub fn exposed(&self, named: Named) -> Option<Cow<'_, str>> {
        self.write(self.number(named)?)
    }

    /// What its server calls it.
    pub fn original(&self, named: Named) -> Option<&str> {
        self.number(named).map(|number| self.said(number))
    }

    /// Which one is meant by a name, of those that `visible` says yes to; the others do not exist.
    ///
    /// That is the one listed under it. Else, with an alias before it, the one that this server calls so; else the
    /// one that only one server calls so, for parts of an application on the client's side know no aliases.
    ///
    /// # Errors
    /// If there is none, or more than one.
    pub fn resolve(
        &self,
        exposed: &str,
        mut visible: impl FnMut(Named) -> bool,
    ) -> Result<Named, Unresolved> {
        let mut seen = |number: u32| Some(self.named(number)).filter(|named| visible(*named));
        if let Some(named) = self.listed(exposed).and_then(&mut seen) {
            return Ok(named);
        }
        if let Some(named) = self.addressed(exposed).and_then(&mut seen) {
            return Ok(named);
        }
        let mut called_so = self.called(exposed).iter().filter_map(|number| seen(*number));
        match (called_so.next(), called_so.next()) {
            (Some(named), None) => Ok(named),
            (Some(_), Some(_)) => Err(Unresolved::Ambiguous),
            (None, _) => Err(Unresolved::Unknown),
        }
    }

    /// The one that is listed under this name.
    fn listed(&self, exposed: &str) -> Option<u32> {
        let own = self.called(exposed).first().copied();
        if let Some(number) = own.filter(|number| self.form(*number) == Form::Own) {
            return Some(number);
        }
        let addressed = self.addressed(exposed);
        if let Some(number) = addressed.filter(|number| self.form(*number) == Form::Prefixed) {
            return Some(number);
        }
        let digits = name::digits(exposed)?;
        let from = self.hashed.partition_point(|(of, _)| *of < digits);
        let same = self.hashed[from..].iter().take_while(|(of, _)| *of == digits);
        same.map(|(_, number)| *number)
            .find(|number| self.write(*number).as_deref() == Some(exposed))
    }

    /// The one that is said by an alias and what its server calls it.
    fn addressed(&self, exposed: &str) -> Option<u32> {
        let (alias, original) = name::split(exposed)?;
        let server = self
            .servers
            .iter()
            .position(|server| server.alias.as_str() == alias)?;
        self.find(server, original)
    }

    /// What that server calls so.
    fn find(&self, server: usize, original: &str) -> Option<u32> {
        let range = self.range(server);
        let called = self.called(original);
        let number = *called.get(called.partition_point(|number| *number < range.start))?;
        range.contains(&number).then_some(number)
    }

    /// All that are called so by their servers, in the order of these.
    fn called(&self, original: &str) -> &[u32] {
        let from = self
            .sorted
            .partition_point(|number| self.said(*number) < original);
        let rest = &self.sorted[from..];
        &rest[..rest.partition_point(|number| self.said(*number) == original)]
    }

    fn write(&self, number: u32) -> Option<Cow<'_, str>> {
        let server = &self.servers[self.server(number)];
        self.form(number).write(&server.alias, self.said(number))
    }

    fn form(&self, number: u32) -> Form {
        self.forms[number as usize]
    }

    fn said(&self, number: u32) -> &str {
        let number = number as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text
            .get(start as usize..self.ends[number] as usize)
            .unwrap_or_default()
    }

    fn server(&self, number: u32) -> usize {
        // Of servers without names, which begin where the next one does, the last is not one of them.
        self.servers
            .partition_point(|server| server.first <= number)
            .saturating_sub(1)
    }

    fn range(&self, server: usize) -> Range<u32> {
        let first = |server: usize| self.servers.get(server).map(|server| server.first);
        let end = narrow(self.len());
        first(server).unwrap_or(end)..first(server + 1).unwrap_or(end)
    }

    fn named(&self, number: u32) -> Named {
        let server = self.server(number);
        Named {
            server,
            place: (number - self.range(server).start) as usize,
        }
    }

    fn number(&self, named: Named) -> Option<u32> {
        let range = self.range(named.server);
        let number = u32::try_from(named.place).ok()?.checked_add(range.start)?;
        range.contains(&number).then_some(number)
    }
}

/// How the table is made.
impl Names {
    /// Brings the names into order, without those that a server has said before.
    fn sort(&mut self) {
        let mut sorted: Vec<u32> = (0..narrow(self.len())).collect();
        let order = |one: &u32, other: &u32| -> Ordering { self.said(*one).cmp(self.said(*other)) };
        // Equal ones stay in the order of the servers, and within one of its list.
        sorted.sort_by(order);
        sorted.dedup_by(|later, first| {
            self.server(*later) == self.server(*first) && self.said(*later) == self.said(*first)
        });
        self.sorted = sorted.into();
    }

    /// Decides what is done to each, hashes not yet chosen.
    fn shape(&mut self, style: Style) {
        let mut forms = std::mem::take(&mut self.forms);
        let aliases: HashSet<&str> = self.servers.iter().map(|server| server.alias.as_str()).collect();
        for same in self
            .sorted
            .chunk_by(|one, other| self.said(*one) == self.said(*other))
        {
            for number in same {
                let said = self.said(*number);
                let safe = || Form::safe(&self.servers[self.server(*number)].alias, said);
                let looks_prefixed = || name::split(said).is_some_and(|(alias, _)| aliases.contains(alias));
                forms[*number as usize] = match style {
                    Style::Spec => Form::Prefixed,
                    Style::Bare if same.len() == 1 && !said.is_empty() && !looks_prefixed() => Form::Own,
                    Style::LlmSafe | Style::Bare => safe(),
                };
            }
        }
        self.forms = forms;
    }

    /// Chooses the digits of those that were changed, so that each name stands for one thing.
    fn hash(&mut self) {
        let mut taken = HashSet::new();
        let mut hashed = Vec::new();
        for number in 0..narrow(self.len()) {
            if !matches!(self.form(number), Form::Hashed(_)) {
                continue;
            }
            let server = self.server(number);
            let alias = &self.servers[server].alias;
            let free = (0..Form::HASHES).find_map(|choice| {
                let digits = name::hash(alias, self.said(number), choice);
                let form = Form::Hashed(choice);
                let exposed = form.write(alias, self.said(number))?;
                // A name that is as it was comes before one that had to be changed.
                let is_said = self.addressed(&exposed).is_some();
                (!is_said && taken.insert((server, digits))).then_some((form, digits))
            });
            let form = match free {
                Some((form, digits)) => {
                    hashed.push((digits, number));
                    form
                }
                None => Form::LeftOut,
            };
            self.forms[number as usize] = form;
        }
        hashed.sort_unstable();
        self.hashed = hashed.into();
    }
}

/// Numbers and lengths of names are bounded where they are taken in.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
