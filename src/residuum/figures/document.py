"""The shell of a self-contained page: style, script, theme toggle, and no network."""

from __future__ import annotations

from residuum.figures import markup

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)


def document(
    title: str,
    body: str,
    *,
    subtitle: str = "",
    contents: str = "",
    footer: str = "",
    headed: bool = True,
) -> str:
    """Return a full HTML page around ``body``.

    The page asks the network for nothing, and its content policy forbids it.

    Args:
        title: page title and first heading, plain text.
        body: HTML, already escaped.
        subtitle: one plain line under the title.
        contents: HTML of a table of contents, or nothing.
        footer: one plain line at the end.
        headed: show the title; a page of one figure leaves that to the figure.
    """
    under = f'<p class="rz-subtitle">{markup.inline(subtitle)}</p>' if subtitle else ""
    end = f'<footer class="rz-footer">{markup.inline(footer)}</footer>' if footer else ""
    shown = "" if headed else ' class="rz-unseen"'
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{markup.escape(title)}</title>
<style>{markup.stylesheet()}</style>
</head>
<body class="rz-page">
<a class="rz-skip" href="#rz-main">Skip to the content</a>
<header class="rz-header">
<div class="rz-header-text"><h1{shown}>{markup.escape(title)}</h1>{under}</div>
<button type="button" class="rz-button rz-theme" title="Switch light and dark">Theme</button>
</header>
{contents}
<main id="rz-main" tabindex="-1">
{body}
</main>
{end}
<script>{markup.runtime()}</script>
</body>
</html>
"""
