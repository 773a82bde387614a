"""``client.wallet``: asking for money, paying, receipts, and an eye on the worker that keeps the books."""

from clients.wallet.records import Payment as Payment
from clients.wallet.records import Request as Request
from clients.wallet.wallet import Wallet as Wallet
from clients.wallet.wallet import WalletError as WalletError
