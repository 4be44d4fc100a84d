# Builds and installs the program with what belongs to it, as packages of distributions do.
#
#     make
#     make install DESTDIR=… PREFIX=/usr
#     make deb       a package for Debian, in target/dist/
#     make dist      the sources of HEAD and all crates in one archive, in target/dist/
#     make vendor    all crates in vendor/: "make" then needs no network

PREFIX = /usr/local
DESTDIR =
CARGO = cargo
INSTALL = install

BINDIR = $(PREFIX)/bin
MANDIR = $(PREFIX)/share/man
DOCDIR = $(PREFIX)/share/doc/mkosi
BASHDIR = $(PREFIX)/share/bash-completion/completions
# Debian's zsh looks in vendor-completions.
ZSHDIR = $(PREFIX)/share/zsh/site-functions
FISHDIR = $(PREFIX)/share/fish/vendor_completions.d
ELVISHDIR = $(PREFIX)/share/elvish/lib

# Where cargo puts what it builds.
TARGET = $(or $(CARGO_TARGET_DIR),target)
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p;/^version/q' Cargo.toml)
NAME = mkosi-$(VERSION)
DIST = $(TARGET)/dist

# Lists of their own, because projects may have been built where the examples are.
EXAMPLES = greeter/Makefile greeter/greeter.c greeter/greeter.service greeter/mkosi.default \
    hello/mkosi.default hello/mkosi.extra/etc/motd \
    hello/mkosi.extra/usr/lib/systemd/system/hello-poweroff.service \
    hello/mkosi.extra/usr/lib/systemd/system/hello.service mkosi/mkosi.default
EXAMPLE_SCRIPTS = greeter/mkosi.build hello/mkosi.postinst mkosi/mkosi.build

all:
	$(CARGO) build --release --locked $(if $(wildcard vendor),--offline --config packaging/vendored.toml)

check:
	scripts/check

install:
	$(INSTALL) -D -m 0755 $(TARGET)/release/mkosi $(DESTDIR)$(BINDIR)/mkosi
	$(INSTALL) -D -m 0644 man/mkosi.1 $(DESTDIR)$(MANDIR)/man1/mkosi.1
	$(INSTALL) -D -m 0644 man/mkosi.default.5 $(DESTDIR)$(MANDIR)/man5/mkosi.default.5
	$(INSTALL) -D -m 0644 completions/bash/mkosi $(DESTDIR)$(BASHDIR)/mkosi
	$(INSTALL) -D -m 0644 completions/zsh/_mkosi $(DESTDIR)$(ZSHDIR)/_mkosi
	$(INSTALL) -D -m 0644 completions/fish/mkosi.fish $(DESTDIR)$(FISHDIR)/mkosi.fish
	$(INSTALL) -D -m 0644 completions/elvish/mkosi.elv $(DESTDIR)$(ELVISHDIR)/mkosi.elv
	$(INSTALL) -D -m 0644 README.md $(DESTDIR)$(DOCDIR)/README.md
	$(INSTALL) -D -m 0644 CHANGELOG.md $(DESTDIR)$(DOCDIR)/CHANGELOG.md
	$(INSTALL) -D -m 0644 mkosi.default.example $(DESTDIR)$(DOCDIR)/mkosi.default.example
	set -e; for file in $(EXAMPLES); do \
	    $(INSTALL) -D -m 0644 examples/$$file $(DESTDIR)$(DOCDIR)/examples/$$file; \
	done
	set -e; for file in $(EXAMPLE_SCRIPTS); do \
	    $(INSTALL) -D -m 0755 examples/$$file $(DESTDIR)$(DOCDIR)/examples/$$file; \
	done

uninstall:
	rm -f $(DESTDIR)$(BINDIR)/mkosi $(DESTDIR)$(MANDIR)/man1/mkosi.1 $(DESTDIR)$(MANDIR)/man5/mkosi.default.5 \
	    $(DESTDIR)$(BASHDIR)/mkosi $(DESTDIR)$(ZSHDIR)/_mkosi $(DESTDIR)$(FISHDIR)/mkosi.fish \
	    $(DESTDIR)$(ELVISHDIR)/mkosi.elv
	rm -rf $(DESTDIR)$(DOCDIR)

vendor:
	rm -rf vendor
	$(CARGO) vendor --quiet --locked --versioned-dirs vendor

deb:
	scripts/install-tools cargo-deb
	mkdir -p target $(DIST)
	scripts/crate-licences $$(rustc -vV | sed -n 's/^host: //p') >target/crate-licences
	scripts/debian-changelog >target/debian-changelog
	gzip --best --no-name --stdout CHANGELOG.md >target/changelog.gz
	$(TARGET)/tools/bin/cargo-deb --locked --maintainer "$$(scripts/debian-changelog --maintainer)" --output $(DIST)/

# The same commit makes the same archive: names are sorted, and times and owners are not the builder's.
dist:
	rm -rf $(DIST)/$(NAME)
	mkdir -p $(DIST)
	git archive --prefix=$(NAME)/ HEAD | tar -x -C $(DIST)
	cd $(DIST)/$(NAME) && $(CARGO) vendor --quiet --locked --versioned-dirs vendor
	cat packaging/vendored.toml >>$(DIST)/$(NAME)/.cargo/config.toml
	tar --create --directory=$(DIST) --format=posix --sort=name --owner=0 --group=0 --numeric-owner \
	    --mode=u+rw,go=rX,a-s --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
	    --mtime=@$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)} $(NAME) \
	    | zstd --quiet --force -12 --threads=1 -o $(DIST)/$(NAME).tar.zst
	rm -r $(DIST)/$(NAME)

.PHONY: all check install uninstall vendor deb dist
