"""Build the site into a folder as ``mkdocs serve`` does, with links to the local server."""

import sys

from mkdocs.commands.build import build
from mkdocs.config import load_config

config = load_config("mkdocs.yml", site_url="http://127.0.0.1:8000/", site_dir=sys.argv[1])
config.plugins.on_startup(command="serve", dirty=False)
build(config)
