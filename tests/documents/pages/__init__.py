"""Pages of the kinds that readers lose, drawn from text of our own, with what is known of them."""
