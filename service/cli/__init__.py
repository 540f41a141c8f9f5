"""The commands of `kaoping`, one module per noun; `service.main` joins them."""
