"""What all scripts share: manifests, records, command lines, tables and pictures.

The rooms theory, toys, full_scale and figures use it. The library di4c has no input or output.
"""

from reporting.locks import only_writer as only_writer
from reporting.locks import only_writer_of as only_writer_of
from reporting.pictures import PALETTE as PALETTE
from reporting.pictures import decimal_ticks as decimal_ticks
from reporting.pictures import save_figure as save_figure
from reporting.pictures import use_style as use_style
from reporting.provenance import ROOT as ROOT
from reporting.provenance import code_version as code_version
from reporting.provenance import manifest as manifest
from reporting.records import append_row as append_row
from reporting.records import check_rows as check_rows
from reporting.records import read_json as read_json
from reporting.records import read_rows as read_rows
from reporting.records import write_json as write_json
from reporting.scripts import at_least as at_least
from reporting.scripts import input_folder as input_folder
from reporting.scripts import output_file as output_file
from reporting.scripts import run_script as run_script
from reporting.scripts import script_parser as script_parser
from reporting.scripts import show_errors as show_errors
from reporting.tables import format_table as format_table
from reporting.tables import markdown_table as markdown_table
