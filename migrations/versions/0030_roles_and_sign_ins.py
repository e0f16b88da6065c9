"""Give tokens a role, an owner and an expiry, and store the sign-ins of people."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make administrators' tokens of the role admin, and all others of the role submitter."""
    op.add_column("token", sa.Column("role", _roles(), nullable=True))
    op.add_column("token", sa.Column("owner", sa.String(), nullable=True))
    op.add_column("token", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE token SET role = CASE WHEN admin THEN 'admin' ELSE 'submitter' END, owner = name")
    op.alter_column("token", "role", nullable=False)
    op.alter_column("token", "owner", nullable=False)
    op.drop_column("token", "admin")
    op.create_check_constraint(op.f("ck_token_role"), "token", _ROLES)
    op.create_index("ix_token_team_created_at", "token", ["team", "created_at"])
    op.create_table(
        "sign_in",
        sa.Column("issuer", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("role", _roles(), nullable=False),
        sa.Column("secret_sha256", sa.String(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(_ROLES, name=op.f("ck_sign_in_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in")),
        sa.UniqueConstraint("secret_sha256", name=op.f("uq_sign_in_secret_sha256")),
    )
    op.create_index("ix_sign_in_issuer_subject", "sign_in", ["issuer", "subject"])


def downgrade() -> None:
    """Drop roles and sign-ins.

    The older version knows neither readers nor expiries, so it would let these tokens do more than they may.
    They are revoked.
    """
    op.drop_table("sign_in")
    op.drop_index("ix_token_team_created_at", "token")
    op.add_column("token", sa.Column("admin", sa.Boolean(), nullable=True))
    op.execute("UPDATE token SET admin = role = 'admin'")
    op.execute(
        "UPDATE token SET revoked_at = clock_timestamp() "
        "WHERE revoked_at IS NULL AND (role = 'reader' OR expires_at IS NOT NULL)"
    )
    op.alter_column("token", "admin", nullable=False)
    for name in ("role", "owner", "expires_at"):
        op.drop_column("token", name)


_ROLES = "role IN ('reader', 'submitter', 'admin')"


def _roles() -> sa.Enum:
    """A column of a role. Its check is made by name, after the rows have values."""
    return sa.Enum("reader", "submitter", "admin", name="role", native_enum=False, length=20)
