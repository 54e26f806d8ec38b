"""The Debian packages the corpus is made of.

One row a source: which package, under which licence its text is used,
which files inside it hold the text, how they are read (a function name of
readers.py), and how many times the text is repeated in the training set
(good general prose is scarcer than technical documentation, so it weighs more).
"""

from typing import NamedTuple


class Source(NamedTuple):
    """One package and the way to read it."""

    package: str
    licence: str
    pattern: str
    reader: str
    repeat: int
    held_out: bool = True       # whether documents of it are held out


DOC = "usr/share/doc"
SHARE = "usr/share"
CAMPAIGNS = "did dm dw ei httt l low nr sof sota sotbe thot trow tsg ttb utbs"

SOURCES = [
    Source("r-cran-janeaustenr", "public domain",
           "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb", "austen", 2),
    Source("sword-text-web", "public domain",
           f"{SHARE}/sword/modules/texts/ztext/*/*.bzz", "sword", 2),
    Source("open-adventure", "BSD-2-Clause",
           f"{DOC}/open-adventure/*.adoc*", "paragraphs", 2),
    Source("jargon-text", "public domain",
           f"{DOC}/jargon-text/jargon.txt.gz", "jargon", 2),
    Source("endless-sky-data", "GPL-3+",
           f"{SHARE}/games/endless-sky/data/**/*.txt", "endless_sky", 2),
    Source("naev-data", "GPL-3+",
           f"{SHARE}/naev/dat/**/*.lua", "lua_strings", 2),
    *(Source(f"wesnoth-1.16-{name}", "GPL-2+",
             f"{SHARE}/games/wesnoth/1.16/data/campaigns/**/*.cfg", "wesnoth", 2)
      for name in CAMPAIGNS.split()),
    Source("freeciv-data", "GPL-2+",
           f"{SHARE}/games/freeciv/helpdata.txt", "freeciv", 2),
    Source("gnome-user-docs", "CC-BY-SA-3.0",
           f"{SHARE}/help/C/**/*.page", "html", 2),
    Source("libreoffice-help-en-us", "MPL-2.0",
           f"{SHARE}/libreoffice/help/en-US/text/**/*.html", "html", 1),
    Source("debian-handbook", "GPL-2+ or CC-BY-SA-3.0",
           f"{DOC}/debian-handbook/html/en-US/*.html", "html", 2),
    Source("debian-history", "GPL-2+",
           f"{DOC}/debian-history/docs/*.en.html", "html", 2),
    Source("debian-faq", "GPL-2+", f"{DOC}/debian/FAQ/*.en.html", "html", 2),
    Source("debian-policy", "GPL-2+",
           f"{DOC}/debian-policy/policy.html/*.html", "html", 1),
    Source("debian-reference-en", "GPL-2+",
           f"{SHARE}/debian-reference/*.en.html", "html", 1),
    Source("developers-reference", "GPL-2+",
           f"{DOC}/developers-reference/docs/*.html", "html", 1),
    Source("maint-guide", "GPL-2+", f"{DOC}/maint-guide/html/*.en.html", "html", 1),
    Source("installation-guide-amd64", "GPL-2+",
           f"{DOC}/installation-guide-amd64/en/*.html", "html", 1),
    Source("rust-doc", "MIT or Apache-2.0",
           f"{DOC}/rust-doc/html/*/*.html", "html", 1),
    Source("sqlite3-doc", "public domain", f"{DOC}/sqlite3/*.html", "html", 2),
    Source("python3.11-doc", "PSF-2.0",
           f"{DOC}/python3.11/html/**/*.html", "html", 1),
    Source("python-django-doc", "BSD-3-Clause",
           f"{DOC}/python-django-doc/html/**/*.html", "html", 1),
    Source("python-sqlalchemy-doc", "MIT",
           f"{DOC}/python-sqlalchemy-doc/html/**/*.html", "html", 1),
    Source("postgresql-doc-15", "PostgreSQL",
           f"{DOC}/postgresql-doc-15/html/*.html", "html", 1),
    Source("apache2-doc", "Apache-2.0",
           f"{DOC}/apache2-doc/manual/en/**/*.html", "html", 1),
    Source("postfix-doc", "EPL-2.0 or IPL-1.0",
           f"{DOC}/postfix/html/*.html", "html", 1),
    Source("exim4-doc-html", "GPL-2+", f"{DOC}/exim4-doc-html/**/*.html", "html", 1),
    Source("nodejs-doc", "MIT", f"{DOC}/nodejs/api/*.html", "html", 1),
    Source("git-doc", "GPL-2", f"{DOC}/git-doc/**/*.html", "html", 1),
    Source("r-doc-html", "GPL-2+", f"{DOC}/r-doc-html/manual/*.html", "html", 1),
    Source("perl-doc", "Artistic or GPL-1+",
           f"{SHARE}/perl/*/**/*.pod", "pod", 1),
    Source("linux-doc-6.1", "GPL-2",
           f"{DOC}/linux-doc-6.1/Documentation/**/*.rst.gz", "paragraphs", 1),
    # Added later and wholly trained on, so that the held-out text stays as it was.
    *(Source(package, licence, pattern, reader, repeat, False)
      for package, licence, pattern, reader, repeat in (
        ("sword-comm-tdavid", "public domain",
         f"{SHARE}/sword/modules/comments/zcom/*/*.czz", "commentary", 2),
        ("sword-comm-mhcc", "public domain",
         f"{SHARE}/sword/modules/comments/zcom/*/*.bzz", "commentary", 2),
        ("anarchism", "GPL-2+", f"{DOC}/anarchism/html/*.html", "html", 2),
        ("cataclysm-dda-data", "CC-BY-SA-3.0",
         f"{SHARE}/games/cataclysm-dda/json/**/*.json", "json_strings", 2),
        ("crossfire-maps", "GPL-2+",
         f"{SHARE}/games/crossfire/maps/**/*", "crossfire", 2),
        ("dict-gcide", "GPL-2+", f"{SHARE}/dictd/gcide.dict.dz", "webster", 1),
        ("harden-doc", "GPL-2+", f"{DOC}/harden-doc/html/en-US/*.html", "html", 1),
        ("debian-kernel-handbook", "GPL-2+",
         f"{DOC}/debian-kernel-handbook/kernel-handbook.html/*.html", "html", 1),
        ("aptitude-doc-en", "GPL-2+", f"{DOC}/aptitude/html/en/*.html", "html", 1),
        ("vim-runtime", "Vim and OPL-1.0", f"{SHARE}/vim/vim90/doc/*.txt", "paragraphs", 1),
        ("bind9-doc", "MPL-2.0", f"{DOC}/bind9-doc/arm/*.html", "html", 1),
        ("python-sklearn-doc", "BSD-3-Clause",
         f"{DOC}/python-sklearn-doc/html/modules/*.html", "html", 1),
        ("racket-doc", "LGPL-2.1+",
         f"{DOC}/racket/**/*.html", "html", 1),
        ("erlang-doc", "Apache-2.0", f"{DOC}/erlang-doc/**/*.html", "html", 1),
        ("libvirt-doc", "LGPL-2.1+", f"{DOC}/libvirt-doc/html/*.html", "html", 1),
        ("llvm-14-doc", "Apache-2.0 with LLVM exception",
         f"{DOC}/llvm-14-doc/html/*.html", "html", 1),
        ("mailman3-doc", "GPL-3", f"{DOC}/mailman3/html/**/*.html", "html", 1),
    )),
]

# Read by dialogues.py (word meanings), not part of the prose.
WORDNET = Source("wordnet-base", "WordNet 3.0", "", "", 0)
