"""What a finding holds: measured numbers, rules and their words, as closed records."""
