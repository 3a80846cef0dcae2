"""Alerts: evaluated in a sandbox, remembered as events, told once.

``evaluate`` runs beside the monitoring loop, ``lifecycle`` holds the rules, ``events`` carries them into
the vault,
``messages`` writes texts and ``delivery`` hands them over.
"""
