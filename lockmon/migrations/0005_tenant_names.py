from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('lockmon', '0004_api_token'),
    ]

    operations = [
        migrations.AlterModelTable(
            name='tenant',
            table='"lock_engine"."tenant_seen"',
        ),
    ]
