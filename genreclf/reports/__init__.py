"""Results for people and programs: text, HTML report, figures, playlists, JSON and CSV records."""
