//! A person at a terminal: a program on a pseudo-terminal, what it shows, and what is typed.
use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    process::Command,
    sync::Mutex,
    thread,
};

use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use tokio::sync::watch;

use crate::{Exit, program::exit_of, within};

/// A program that believes somebody looks at it. Killed when dropped.
pub struct Terminal {
    keyboard: Mutex<File>,
    shown: watch::Receiver<(String, bool)>,
    exit: watch::Receiver<Option<Exit>>,
    pid: u32,
}

impl Terminal {
    /// Starts a program on a terminal that is so many columns wide.
    pub fn start(mut command: Command, columns: u16) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are pseudo-terminals");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("it is ours");
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&ours, size).expect("a terminal has a size");
        let name = ptsname(&ours, Vec::new()).expect("it has a name");
        let name = name.into_string().expect("the name is text");
        let theirs = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(&name)
                .expect("it can be opened")
        };
        command
            .stdin(theirs())
            .stdout(theirs())
            .stderr(theirs())
            .env("TERM", "xterm");
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        // Their ends in here would keep the terminal open when the program is gone.
        drop(command);
        let screen = File::from(ours);
        let keyboard = Mutex::new(screen.try_clone().expect("a descriptor can be had"));
        Self {
            keyboard,
            shown: shown_on(screen),
            pid: child.id(),
            exit: exit_of(child),
        }
    }

    /// Waits until this stands on the screen, typed or shown.
    pub async fn shows(&self, text: &str) {
        let mut shown = self.shown.clone();
        let seen = within(format!("the terminal to show {text:?}"), async {
            shown
                .wait_for(|(shown, ended)| *ended || shown.contains(text))
                .await
                .is_ok()
        });
        assert!(
            seen.await && self.screen().contains(text),
            "{text:?} is not shown:\n{}",
            self.screen()
        );
    }

    /// Types a line.
    pub fn types(&self, line: &str) {
        let mut keyboard = self.keyboard.lock().expect("nobody panics with it");
        keyboard
            .write_all(format!("{line}\n").as_bytes())
            .expect("the program reads");
    }

    /// Presses Ctrl-D at the beginning of a line.
    pub fn ends_input(&self) {
        let mut keyboard = self.keyboard.lock().expect("nobody panics with it");
        keyboard.write_all(&[4]).expect("the program reads");
    }

    /// Presses Ctrl-C.
    pub fn interrupts(&self) {
        let pid = i32::try_from(self.pid)
            .ok()
            .and_then(Pid::from_raw)
            .expect("it is a process");
        kill_process(pid, Signal::INT).expect("it runs");
    }

    /// Waits for the end.
    pub async fn ended(&self) -> Exit {
        let mut exit = self.exit.clone();
        let exit = within("the program to end", async move {
            exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit)
        });
        let exit = exit.await.expect("the thread that waits for the end tells it");
        let mut shown = self.shown.clone();
        within("its last line", async move {
            shown.wait_for(|(_, ended)| *ended).await.map(|_| ())
        })
        .await
        .ok();
        exit
    }

    /// Everything that was shown so far, controls included; line ends as `\n`.
    pub fn screen(&self) -> String {
        self.shown.borrow().0.replace("\r\n", "\n")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!(
                "--- on the terminal\n{}\n---",
                self.screen().replace('\u{1b}', "␛")
            );
        }
        if self.exit.borrow().is_none()
            && let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw)
        {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn shown_on(mut screen: File) -> watch::Receiver<(String, bool)> {
    let (told, shown) = watch::channel((String::new(), false));
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let mut piece = [0; 4096];
        // The end of the other side is an error by definition.
        while let Ok(count @ 1..) = screen.read(&mut piece) {
            bytes.extend_from_slice(&piece[..count]);
            told.send_replace((String::from_utf8_lossy(&bytes).into_owned(), false));
        }
        told.send_modify(|(_, ended)| *ended = true);
    });
    shown
}
