"""The commands that build, release and test a release. The workflows call them through ``scripts/``.

They never import the package, because the production tests must import the installed release.
"""
