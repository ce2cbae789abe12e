"""Results for people and programs.

- Text on the terminal: ``console`` (tables and facts), ``evaluation``, ``comparison``, ``audit``,
  ``predictions``, ``suggestions``, ``labels``, ``inspection``.
- The HTML report: ``html``, ``trackmap``.
- Figures: ``plots``, with ``spectrograms``, ``distributions`` and ``confusion`` as their data.
- Files: ``playlists``; ``records`` (JSON and CSV of predictions); ``results`` (of ``--json``).
"""
