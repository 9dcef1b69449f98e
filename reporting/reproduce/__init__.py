"""`make reproduce`: run the scripts again and compare their numbers with the records in results/.

`stages` lists what runs, `numbers` says which numbers count and how closely they must agree,
`page` writes the report, and `__main__` is the program.
"""
