// pen
