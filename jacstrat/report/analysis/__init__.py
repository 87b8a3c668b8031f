"""What the records say: who is fastest, who is wrong, how sure that is; as data, sentences and tables."""
