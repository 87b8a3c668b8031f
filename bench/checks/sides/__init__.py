"""What other checkouts of jacstrat run, in processes of their own."""
