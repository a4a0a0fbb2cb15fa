"""What the films of examples/medical-xray show, and the reports that go with them."""
