"""What everybody speaks of: operators. Knows neither torch nor anything else of jacstrat but its errors."""
