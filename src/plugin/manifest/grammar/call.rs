//! Reads the words of a call as the tool will.

use super::refusal::{Refusal, word as shown};
use super::{Command, Commands, Grammar, Opt, Rules, Style, Takes, Unlisted};

/// A call as the tool will read it.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// The words of the command, aliases resolved; none where there is none.
    pub command: Command,
    /// Whether the tool waits for another word of the command.
    pub is_group: bool,
    /// The options, in their order.
    pub options: Vec<Given<'a>>,
    /// The rest.
    pub operands: Vec<&'a str>,
    /// What stands behind the first option that no list has, that option included.
    pub uncertain: &'a [String],
}

/// An option of a call.
#[derive(Debug)]
pub(super) struct Given<'a> {
    /// As it was written, without the value.
    pub name: String,
    /// What the manifest has under this name; `None` for a number.
    pub option: Option<Opt>,
    /// Its value.
    pub value: Option<&'a str>,
}

/// Reads a call.
pub(super) fn read<'a>(grammar: &'a Grammar, args: &'a [String]) -> Result<Call<'a>, Refusal> {
    let call = Call {
        command: Command::default(),
        is_group: grammar.commands.is_some(),
        options: Vec::new(),
        operands: Vec::new(),
        uncertain: &[],
    };
    let mut reader = Reader { grammar, args, next: 0, ended: false, early: Vec::new(), call };
    while let Some(word) = reader.take() {
        reader.word(word)?;
    }
    Ok(reader.call)
}

struct Reader<'a> {
    grammar: &'a Grammar,
    args: &'a [String],
    next: usize,
    /// No options follow.
    ended: bool,
    /// Names of options before the command was complete.
    early: Vec<String>,
    call: Call<'a>,
}

impl<'a> Reader<'a> {
    fn take(&mut self) -> Option<&'a str> {
        let word = self.args.get(self.next)?;
        self.next += 1;
        Some(word)
    }

    fn peek(&self) -> Option<&'a str> {
        self.args.get(self.next).map(String::as_str)
    }

    fn word(&mut self, word: &'a str) -> Result<(), Refusal> {
        if word.contains('\0') {
            return Err(Refusal::Nul);
        }
        if self.grammar.response_files && word.starts_with('@') {
            let instead = "the tool would read arguments from a file: write them here".to_owned();
            return Err(Refusal::Uncertain { word: shown(word), instead });
        }
        let is_option = !self.ended && word.len() > 1 && word.starts_with('-');
        match &self.grammar.commands {
            Some(_) if self.call.is_group && matches!(word, "--" | "-" | "") => {
                Err(Refusal::BeforeCommand { word: shown(word) })
            }
            Some(commands) if self.call.is_group && !is_option => self.command(commands, word),
            _ if !is_option => {
                self.call.operands.push(word);
                Ok(())
            }
            _ if word == "--" => {
                self.ended = true;
                Ok(())
            }
            _ => self.option(word),
        }
    }

    /// One more word of the command.
    fn command(&mut self, commands: &'a Commands, word: &str) -> Result<(), Refusal> {
        self.call.command.0.push(word.to_owned());
        if let Some(named) = commands.aliases.get(&self.call.command) {
            self.call.command = named.clone();
        }
        self.call.is_group = commands.groups.contains(&self.call.command);
        // What stands before was read without the command's own list.
        let own = || self.grammar.of_commands.iter().filter(|(command, _)| command.covers(&self.call.command));
        let again = |name: &&String| own().any(|(_, rules)| rules.options.iter().any(|option| option.is_called(name)));
        match self.early.iter().find(again) {
            Some(name) => Err(Refusal::BeforeCommand { word: shown(name) }),
            None => Ok(()),
        }
    }

    fn option(&mut self, word: &'a str) -> Result<(), Refusal> {
        let style = self.grammar.style;
        if style == Style::Single && !self.call.operands.is_empty() {
            let instead = "write options before the operands, or `--` before both".to_owned();
            return Err(Refusal::Uncertain { word: shown(word), instead });
        }
        if self.grammar.numbers && word[1..].bytes().all(|byte| byte.is_ascii_digit()) {
            self.call.options.push(Given { name: word.to_owned(), option: None, value: None });
            return Ok(());
        }
        match style {
            Style::Npm | Style::Single => self.whole(word),
            Style::Gnu | Style::Go | Style::Clap if word.starts_with("--") => self.whole(word),
            Style::Gnu | Style::Go | Style::Clap => self.bundle(word),
        }
    }

    /// An option that is the whole word, but for a value behind `=`.
    fn whole(&mut self, word: &'a str) -> Result<(), Refusal> {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let name = match self.grammar.style {
            Style::Single if name.starts_with("--") => &name[1..],
            _ => name,
        };
        let Some(option) = self.known(name) else { return self.unlisted(word) };
        match (option.takes, value) {
            (Takes::Nothing, None) => self.flag(name, option),
            (Takes::Nothing, Some(value)) => self.flag_with(word, name, option, value),
            (Takes::Value | Takes::Perhaps, Some(value)) => {
                self.attached_fits(word, name, value)?;
                self.given(name, option, Some(value));
                Ok(())
            }
            (Takes::Value, None) => self.separate(name, option),
            (Takes::Perhaps, None) => self.perhaps(name, option),
        }
    }

    /// A dash and letters: flags, and at the end maybe one with a value.
    fn bundle(&mut self, word: &'a str) -> Result<(), Refusal> {
        let style = self.grammar.style;
        let mut rest = &word[1..];
        while let Some(letter) = rest.chars().next() {
            let name = format!("-{letter}");
            rest = &rest[letter.len_utf8()..];
            let Some(option) = self.known(&name) else {
                return if word.len() == name.len() { self.unlisted(word) } else { self.unlisted_in(word, &name) };
            };
            match option.takes {
                Takes::Nothing if style == Style::Go && rest.len() > 1 && rest.starts_with('=') => {
                    self.given(&name, option, Some(&rest[1..]));
                    return Ok(());
                }
                Takes::Nothing if rest.starts_with('=') => return Err(no_value(word, &name)),
                Takes::Nothing => self.flag(&name, option)?,
                Takes::Value if rest.is_empty() => return self.separate(&name, option),
                Takes::Perhaps if rest.is_empty() => return self.perhaps(&name, option),
                Takes::Value | Takes::Perhaps => {
                    let value = match style {
                        Style::Go if rest.len() > 1 => rest.strip_prefix('=').unwrap_or(rest),
                        Style::Clap => rest.strip_prefix('=').unwrap_or(rest),
                        _ => rest,
                    };
                    self.given(&name, option, Some(value));
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn flag(&mut self, name: &str, option: Opt) -> Result<(), Refusal> {
        let next = self.peek().unwrap_or_default();
        if self.grammar.style == Style::Npm && matches!(next, "true" | "false" | "null") {
            let instead = format!("write `{name}`, or `--no-{}`", name.trim_start_matches('-'));
            return Err(Refusal::Uncertain { word: shown(&format!("{name} {next}")), instead });
        }
        self.given(name, option, None);
        Ok(())
    }

    /// A flag with something behind `=`.
    fn flag_with(&mut self, word: &str, name: &str, option: Opt, value: &'a str) -> Result<(), Refusal> {
        let fits = match self.grammar.style {
            Style::Go | Style::Single => true,
            // Anything else would be a word of its own: an operand, or the command.
            Style::Npm => name.starts_with("--") && matches!(value, "true" | "false"),
            Style::Gnu | Style::Clap => false,
        };
        if !fits {
            return Err(no_value(word, name));
        }
        self.given(name, option, Some(value));
        Ok(())
    }

    /// npm reads a value behind `=` like one in the next word.
    fn attached_fits(&self, word: &str, name: &str, value: &str) -> Result<(), Refusal> {
        let fits = self.grammar.style != Style::Npm || (name.starts_with("--") && !value.starts_with('-'));
        let instead = || format!("write `{name}` in full, with a value that does not begin with `-`");
        if fits { Ok(()) } else { Err(Refusal::Uncertain { word: shown(word), instead: instead() }) }
    }

    /// An option whose value is the next word.
    fn separate(&mut self, name: &str, option: Opt) -> Result<(), Refusal> {
        let Some(value) = self.take() else { return Err(Refusal::NoValue { option: shown(name) }) };
        let dash = value.len() > 1 && value.starts_with('-');
        let certain = matches!(self.grammar.style, Style::Gnu | Style::Go | Style::Single) && !self.call.is_group;
        // To a version of npm that does not know the option, the word is the command.
        let is_command = self.grammar.style == Style::Npm && self.call.is_group;
        if (dash && !certain) || is_command {
            let instead = format!("write `{name}={}` if it is a value, as one word", shown(value));
            return Err(Refusal::Uncertain { word: shown(&format!("{name} {value}")), instead });
        }
        if value.contains('\0') {
            return Err(Refusal::Nul);
        }
        if self.grammar.response_files && value.starts_with('@') {
            let instead = "the tool would read arguments from a file: write them here".to_owned();
            return Err(Refusal::Uncertain { word: shown(value), instead });
        }
        self.given(name, option, Some(value));
        Ok(())
    }

    /// An option that may have a value, and has none in its own word.
    fn perhaps(&mut self, name: &str, option: Opt) -> Result<(), Refusal> {
        let next = self.peek();
        let uncertain = match self.grammar.style {
            Style::Clap if !self.call.is_group => next == Some("-"),
            Style::Clap | Style::Npm => next.is_some_and(|next| next == "-" || !next.starts_with('-')),
            Style::Gnu | Style::Go | Style::Single => false,
        };
        if uncertain {
            let next = next.unwrap_or_default();
            let instead = format!("write `{name}={}` if it is a value, as one word", shown(next));
            return Err(Refusal::Uncertain { word: shown(&format!("{name} {next}")), instead });
        }
        let takes_next = self.grammar.style == Style::Clap && next.is_some_and(|next| !next.starts_with('-'));
        if takes_next {
            return self.separate(name, option);
        }
        self.given(name, option, None);
        Ok(())
    }

    fn given(&mut self, name: &str, option: Opt, value: Option<&'a str>) {
        if self.call.is_group {
            self.early.push(name.to_owned());
        }
        self.call.options.push(Given { name: name.to_owned(), option: Some(option), value });
    }

    /// What the manifest has under this name: the command's own list comes first.
    fn known(&self, name: &str) -> Option<Opt> {
        rules(self.grammar, &self.call.command)
            .find_map(|rules| rules.options.iter().find(|option| option.is_called(name)))
            .cloned()
    }

    fn unlisted(&mut self, word: &'a str) -> Result<(), Refusal> {
        if self.call.is_group {
            return Err(Refusal::BeforeCommand { word: shown(word) });
        }
        match self.grammar.unlisted {
            Unlisted::Refuse => Err(Refusal::Unlisted { option: shown(word), instead: self.instead(word) }),
            Unlisted::Pass => {
                self.call.uncertain = &self.args[self.next - 1..];
                self.next = self.args.len();
                Ok(())
            }
        }
    }

    /// A letter among others that no list has.
    fn unlisted_in(&self, word: &str, name: &str) -> Result<(), Refusal> {
        let instead = format!("no list of the manifest has `{}`: write each option by itself", shown(name));
        Err(Refusal::Uncertain { word: shown(word), instead })
    }

    fn instead(&self, word: &str) -> String {
        let name = word.split('=').next().unwrap_or(word);
        let options = rules(self.grammar, &self.call.command).flat_map(|rules| &rules.options);
        let names: Vec<&str> = options.flat_map(|option| &option.names).map(String::as_str).collect();
        let begins: Vec<&str> =
            names.iter().copied().filter(|known| name.len() > 2 && known.starts_with(name)).collect();
        match begins[..] {
            [] if self.grammar.style == Style::Npm && !self.ended => {
                "leave it out; what is for a script of the project stands behind `--`".to_owned()
            }
            [] => "leave it out, or add it to the manifest's lists".to_owned(),
            [only, ..] => format!("write it in full: `{only}`"),
        }
    }
}

/// What holds for a command: its own rules, then everybody's.
pub(super) fn rules<'a>(grammar: &'a Grammar, command: &Command) -> impl Iterator<Item = &'a Rules> {
    let own = grammar.of_commands.iter().filter(|(of, _)| of.covers(command)).map(|(_, rules)| rules);
    own.chain(std::iter::once(&grammar.rules)).collect::<Vec<_>>().into_iter()
}

fn no_value(word: &str, name: &str) -> Refusal {
    Refusal::Uncertain { word: shown(word), instead: format!("`{name}` takes no value: write it alone") }
}
