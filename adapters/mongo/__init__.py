"""The document store of the distributed profile on MongoDB, by pymongo. Needs no transactions: adr/0008."""
