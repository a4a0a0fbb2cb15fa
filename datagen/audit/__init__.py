"""The checks of a run over LLaVA JSON that was made elsewhere, and a report of what they find.

- `records`: the file, read
- `images`: what is known of a record's image
- `response_types`: which type a sample is of
- `books`: what is counted
- `auditing`: the order of it all, and the files
- `page`: the report for a person
"""

from datagen.audit.auditing import PAGE, VERDICTS, AuditConfig, write_audit

__all__ = ["PAGE", "VERDICTS", "AuditConfig", "write_audit"]
