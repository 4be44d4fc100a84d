# Builds and installs the program with what belongs to it, as packages of distributions do.
#
#     make
#     make install DESTDIR=… PREFIX=/usr

PREFIX = /usr/local
DESTDIR =
CARGO = cargo
INSTALL = install

BINDIR = $(PREFIX)/bin
MANDIR = $(PREFIX)/share/man
DOCDIR = $(PREFIX)/share/doc/mkosi
BASHDIR = $(PREFIX)/share/bash-completion/completions
ZSHDIR = $(PREFIX)/share/zsh/site-functions
FISHDIR = $(PREFIX)/share/fish/vendor_completions.d
ELVISHDIR = $(PREFIX)/share/elvish/lib

all:
	$(CARGO) build --release --locked

check:
	scripts/check

install:
	$(INSTALL) -D -m 0755 target/release/mkosi $(DESTDIR)$(BINDIR)/mkosi
	$(INSTALL) -D -m 0644 man/mkosi.1 $(DESTDIR)$(MANDIR)/man1/mkosi.1
	$(INSTALL) -D -m 0644 man/mkosi.default.5 $(DESTDIR)$(MANDIR)/man5/mkosi.default.5
	$(INSTALL) -D -m 0644 completions/bash/mkosi $(DESTDIR)$(BASHDIR)/mkosi
	$(INSTALL) -D -m 0644 completions/zsh/_mkosi $(DESTDIR)$(ZSHDIR)/_mkosi
	$(INSTALL) -D -m 0644 completions/fish/mkosi.fish $(DESTDIR)$(FISHDIR)/mkosi.fish
	$(INSTALL) -D -m 0644 completions/elvish/mkosi.elv $(DESTDIR)$(ELVISHDIR)/mkosi.elv
	$(INSTALL) -D -m 0644 README.md $(DESTDIR)$(DOCDIR)/README.md
	$(INSTALL) -D -m 0644 CHANGELOG.md $(DESTDIR)$(DOCDIR)/CHANGELOG.md
	$(INSTALL) -D -m 0644 mkosi.default.example $(DESTDIR)$(DOCDIR)/mkosi.default.example

uninstall:
	rm -f $(DESTDIR)$(BINDIR)/mkosi $(DESTDIR)$(MANDIR)/man1/mkosi.1 $(DESTDIR)$(MANDIR)/man5/mkosi.default.5 \
	    $(DESTDIR)$(BASHDIR)/mkosi $(DESTDIR)$(ZSHDIR)/_mkosi $(DESTDIR)$(FISHDIR)/mkosi.fish \
	    $(DESTDIR)$(ELVISHDIR)/mkosi.elv
	rm -rf $(DESTDIR)$(DOCDIR)

.PHONY: all check install uninstall
