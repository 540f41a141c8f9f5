"""How frontend teams see Kaoping: types, queries, mutations and subscriptions, noun by noun, at one endpoint."""
