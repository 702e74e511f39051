//! The only place that writes to the terminal: data to standard output, everything else to standard error.

use std::io::{self, BufRead as _, IsTerminal as _, Write};

use crate::trouble::Trouble;

/// Prints a result. A reader that has seen enough (`cfrt plan … | head`) is no trouble.
///
/// # Errors
///
/// Standard output can't be written to, for any other reason than that its reader is gone.
pub(crate) fn print(text: &str) -> Result<(), Trouble> {
    forgiving(&mut anstream::stdout().lock(), text).map_err(Trouble::Screen)
}

/// Tells what is not the result: progress, errors, hints.
pub(crate) fn tell(text: &str) {
    // Where standard error can't be written to, there is no one left to tell.
    forgiving(&mut anstream::stderr().lock(), text).unwrap_or_default();
}

/// Whether a person sits at both ends, so that a question makes sense.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Asks, and takes only `y` or `yes` for a yes; the end of input is a no.
///
/// # Errors
///
/// The terminal can't be written to or read from.
pub(crate) async fn ask(question: &str) -> Result<bool, Trouble> {
    print(question)?;
    // Beside the event loop, so that a Ctrl-C is heard meanwhile.
    let read = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).map(|_| answer)
    });
    let answer = read.await.map_err(io::Error::from).flatten().map_err(Trouble::Screen)?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

fn forgiving(to: &mut impl Write, text: &str) -> io::Result<()> {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed(io::ErrorKind);

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_gone_is_no_trouble_but_a_full_disk_is() {
        assert!(forgiving(&mut Closed(io::ErrorKind::BrokenPipe), "text").is_ok());
        assert!(forgiving(&mut Closed(io::ErrorKind::StorageFull), "text").is_err());
    }

    #[test]
    fn only_y_and_yes_are_a_yes() {
        let said_yes = ["y\n", "Y\n", "yes\n", " YES \r\n"].map(is_yes);
        let said_no = ["", "\n", "n\n", "ye\n", "yes please\n", "j\n"].map(is_yes);
        assert!(said_yes.iter().all(|yes| *yes) && said_no.iter().all(|yes| !yes));
    }
}
